//! Reads the command line, runs the command, and exits with its code. Everything else is the library's.

use std::process::ExitCode;

use clap::Parser;
use mape_k::cli::terminal::complain;
use mape_k::cli::{Cli, client, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the runtime cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        // Whoever read the output has read enough: `mape-k explain | head`.
        Err(error) if client::is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
