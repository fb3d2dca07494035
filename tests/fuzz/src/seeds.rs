//! What a fuzzer begins with: examples of this repository, and what was found before.

use std::{fs, io, path::Path};

use crate::{TARGETS, Target};

/// The examples of a target, and its inputs in `found/`.
pub fn all(target: &Target) -> Vec<Vec<u8>> {
    let mut all = (target.seeds)();
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(target.name);
    let files = fs::read_dir(&found).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    all.extend(files.into_iter().map(|file| fs::read(file).expect("it can be read")));
    all
}

/// Writes FOLDER/TARGET.dict and FOLDER/TARGET/seed-N for each target.
pub fn write_all(folder: &Path) -> io::Result<()> {
    for target in TARGETS {
        let inputs = folder.join(target.name);
        fs::create_dir_all(&inputs)?;
        for (at, seed) in all(target).into_iter().enumerate() {
            fs::write(inputs.join(format!("seed-{at:04}")), seed)?;
        }
        fs::write(folder.join(format!("{}.dict", target.name)), dictionary(target.words))?;
    }
    Ok(())
}

/// Words as libFuzzer reads them.
fn dictionary(words: &[&str]) -> String {
    let quoted = |word: &&str| {
        let byte = |byte: u8| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            other => format!("\\x{other:02x}"),
        };
        format!("\"{}\"\n", word.bytes().map(byte).collect::<String>())
    };
    words.iter().map(quoted).collect()
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The examples in a document: the blocks that begin with ```` ```LANGUAGE ````.
pub(crate) fn blocks(path: &str, language: &str) -> Vec<String> {
    let (text, fence) = (file(path), format!("```{language}\n"));
    let blocks = text.split(&fence).skip(1);
    let blocks: Vec<String> = blocks.filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect();
    assert!(!blocks.is_empty(), "{path} has no block of {language}");
    blocks
}

/// Inputs for what is drawn from bytes: the same ones each time, and no two alike.
pub(crate) fn noise(count: u64, length: usize) -> Vec<Vec<u8>> {
    // Vigna's splitmix64.
    let word = |state: u64| {
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let input = |of: u64| {
        let words =
            (1..=length as u64 / 8).map(|at| word((of << 32 | at).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        words.flat_map(u64::to_le_bytes).collect()
    };
    (0..count).map(input).collect()
}
