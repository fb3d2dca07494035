//! The fuzzer's program, if `tests/fuzz/run` builds it. Otherwise checks single inputs.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: { fuzzed::choose() }, |bytes: &[u8]| { fuzzed::check(bytes) });

#[cfg(fuzzing)]
mod fuzzed {
    use std::sync::OnceLock;

    static TARGET: OnceLock<cutover_fuzz::Target> = OnceLock::new();

    /// One program has all targets, because it takes minutes to build. It also writes what they begin with.
    pub(crate) fn choose() {
        if let Some(folder) = std::env::var_os("CUTOVER_FUZZ_SEEDS") {
            cutover_fuzz::seeds::write_all(folder.as_ref()).expect("seeds can be written");
            std::process::exit(0);
        }
        let name = std::env::var("CUTOVER_FUZZ").expect("CUTOVER_FUZZ names a target");
        let target = cutover_fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name:?}"));
        TARGET.get_or_init(|| target);
    }

    pub(crate) fn check(bytes: &[u8]) {
        (TARGET.get().expect("it was chosen").check)(bytes);
    }
}

#[cfg(not(fuzzing))]
use std::{env, error::Error, fs, process::ExitCode};

#[cfg(not(fuzzing))]
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["replay", target, ref files @ ..] if !files.is_empty() => replay(target, files),
        _ => Err("usage: cutover-fuzz replay TARGET FILE..".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks inputs that a fuzzer found.
#[cfg(not(fuzzing))]
fn replay(name: &str, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let target = cutover_fuzz::target(name).ok_or_else(|| format!("there is no target {name:?}"))?;
    for file in files {
        (target.check)(&fs::read(file)?);
        eprintln!("{file}: the properties hold");
    }
    Ok(())
}
