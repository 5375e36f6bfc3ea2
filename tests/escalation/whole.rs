//! The whole daemon with everything around it: the loop's own servers, an API server and a Slack at the wire.

#[path = "../it/the_loop/fakes.rs"]
#[allow(dead_code, reason = "shared with the other test binary")]
mod fakes;
#[path = "../it/the_loop/faulty.rs"]
#[allow(dead_code, reason = "shared with the other test binary")]
mod faulty;
#[path = "../it/the_loop/world.rs"]
#[allow(dead_code, reason = "shared with the other test binary")]
mod loops;

mod agreement;
mod blind;
mod cases;
mod defects;
mod early;
mod files;
mod followed;
mod hanging;
mod origin;
mod reloaded;
mod situations;
mod stopped;
mod town;
mod treated;
mod words;
