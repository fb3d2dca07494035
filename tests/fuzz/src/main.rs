//! The fuzzer's program, when cargo-fuzz builds it. Otherwise writes what a fuzzer begins with, and replays inputs.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: { fuzzed::choose() }, |bytes: &[u8]| { fuzzed::check(bytes) });

#[cfg(fuzzing)]
mod fuzzed {
    use std::sync::OnceLock;

    static TARGET: OnceLock<cutover_fuzz::Target> = OnceLock::new();

    /// One program has all targets, because it takes minutes to build.
    pub(crate) fn choose() {
        let name = std::env::var("CUTOVER_FUZZ").expect("CUTOVER_FUZZ names a target");
        let target = cutover_fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name:?}"));
        TARGET.get_or_init(|| target);
    }

    pub(crate) fn check(bytes: &[u8]) {
        (TARGET.get().expect("it was chosen").check)(bytes);
    }
}

#[cfg(not(fuzzing))]
use std::{env, error::Error, fs, path::Path, process::ExitCode};

#[cfg(not(fuzzing))]
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["seeds", folder] => write_seeds(Path::new(folder)),
        ["replay", target, ref files @ ..] if !files.is_empty() => replay(target, files),
        _ => Err("usage: cutover-fuzz seeds FOLDER | cutover-fuzz replay TARGET FILE..".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes FOLDER/TARGET.dict and FOLDER/TARGET/seed-N for each target.
#[cfg(not(fuzzing))]
fn write_seeds(folder: &Path) -> Result<(), Box<dyn Error>> {
    for target in cutover_fuzz::TARGETS {
        let inputs = folder.join(target.name);
        fs::create_dir_all(&inputs)?;
        for (at, seed) in cutover_fuzz::seeds::all(target).into_iter().enumerate() {
            fs::write(inputs.join(format!("seed-{at:04}")), seed)?;
        }
        fs::write(
            folder.join(format!("{}.dict", target.name)),
            cutover_fuzz::seeds::dictionary(target.words),
        )?;
    }
    Ok(())
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
