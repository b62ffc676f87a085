//! `gear-operations`: see its README.

use std::process::ExitCode;

use clap::Parser as _;
use gear_operations::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    let told = gear_operations::run(&options, &mut |line| {
        if !options.json {
            println!("{line}");
        }
    });
    let summary = match told {
        Ok(summary) => summary,
        Err(why) => {
            eprintln!("\nnot as it must be: {why}");
            return ExitCode::FAILURE;
        }
    };
    if options.json {
        match serde_json::to_string(&summary) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("the summary cannot be written: {error}"),
        }
    }
    match summary.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
