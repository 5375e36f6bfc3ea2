pub mod charter_sandbox;
