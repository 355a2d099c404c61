//! Tasks of d365map's developers: `cargo xtask generate` writes what follows from the code into documents and files of editors.

mod generate;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    if task.as_deref() != Some("generate") {
        eprintln!("usage: cargo xtask generate");
        return ExitCode::from(2);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in generate::FILES {
        let path = root.join(file.path);
        let done = std::fs::read_to_string(&path).map_err(|e| e.to_string()).and_then(|before| {
            let after = (file.write)(&before)?;
            if after == before {
                return Ok(false);
            }
            std::fs::write(&path, after).map_err(|e| e.to_string())?;
            Ok(true)
        });
        match done {
            Ok(true) => println!("wrote {}", file.path),
            Ok(false) => {}
            Err(error) => {
                eprintln!("error: {}: {error}", file.path);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
