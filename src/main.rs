//! Argument parsing and exit codes, nothing else.

fn main() -> std::process::ExitCode {
    d365map::cli::main()
}
