//! The staging stack on a real engine, from build to healed fault, seen through its published ports alone.
//! `make e2e` runs it.

mod troubleshooting;
