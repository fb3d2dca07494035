//! Commands of a block, and the words of those of `cutover`.

use clap::Command;

use super::blocks::Block;

/// The commands of a block, each whole, with the line where it begins.
pub fn split(block: &Block) -> Vec<(usize, String)> {
    let (mut commands, mut command, mut begun) = (Vec::new(), String::new(), block.line);
    for (at, line) in block.text.lines().enumerate() {
        if command.is_empty() {
            begun = block.line + at;
        }
        command.push_str(line);
        command.push('\n');
        if is_whole(&command) {
            let whole = std::mem::take(&mut command);
            if !whole.trim().is_empty() && !whole.trim_start().starts_with('#') {
                commands.push((begun, whole.trim_end().to_owned()));
            }
        }
    }
    assert!(command.is_empty(), "line {begun}: the block ends within a command: {command}");
    commands
}

/// Whether bash needs no further line.
fn is_whole(command: &str) -> bool {
    if command.ends_with("\\\n") {
        return false;
    }
    let checked = std::process::Command::new("bash").args(["-n", "-c", command]).output().unwrap();
    // An unfinished here-document is a warning.
    checked.status.success() && checked.stderr.is_empty()
}

/// The arguments of each call of `cutover` in a command.
pub fn cutover_args(command: &str) -> Vec<Vec<String>> {
    let first = command.split("<<").next().unwrap_or_default();
    let mut calls: Vec<Vec<String>> = vec![Vec::new()];
    let mut redirected = false;
    for word in words(first) {
        match word.as_str() {
            "|" | "&&" | "||" | ";" | "&" | "(" | ")" | "do" | "until" | "while" | "if" | "!" => {
                calls.push(Vec::new());
                redirected = false;
            }
            _ if word.starts_with('>') || word.starts_with("2>") => redirected = true,
            _ if redirected => {}
            _ => calls.last_mut().unwrap().push(word),
        }
    }
    calls.retain(|call| call.first().is_some_and(|first| first == "cutover"));
    calls
}

/// Splits as a shell does, without expanding anything. Operators are words of their own.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut quoted) = (Vec::new(), String::new(), None, false);
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => word.push(letter),
            (None, '\'' | '"') => (quote, quoted) = (Some(letter), true),
            (None, '\\') => word.extend(letters.next().filter(|next| *next != '\n')),
            (None, '#') if word.is_empty() && !quoted => {
                while letters.peek().is_some_and(|next| *next != '\n') {
                    letters.next();
                }
            }
            (None, _) if letter.is_whitespace() || "|&;()".contains(letter) => {
                if !word.is_empty() || quoted {
                    words.push(std::mem::take(&mut word));
                }
                quoted = false;
                if letter == '\n' {
                    words.push(";".to_owned());
                } else if !letter.is_whitespace() {
                    words.push(letter.to_string());
                }
            }
            (None, _) => word.push(letter),
        }
    }
    if !word.is_empty() || quoted {
        words.push(word);
    }
    words
}

/// Unknown verbs and flags of `cutover ...` between backticks in the text. Placeholders are not parsed.
pub fn mistakes_in_text(cli: &Command, text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    });
    let prose = prose.collect::<Vec<_>>().join(" ");
    let codes = prose.split('`').skip(1).step_by(2);
    codes.filter_map(|code| mistake(cli, code).map(|what| format!("`{code}`: {what}"))).collect()
}

fn mistake(cli: &Command, code: &str) -> Option<String> {
    let mut command = cli;
    let mut words = code.strip_prefix("cutover ")?.split_whitespace().peekable();
    // "plan apply|show" names several; "KEY" and "..." none.
    let is_verb = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    while command.has_subcommands()
        && let Some(verbs) = words.next_if(is_verb)
    {
        for verb in verbs.split('|') {
            let known = if verb == "help" { Some(command) } else { command.find_subcommand(verb) };
            let Some(known) = known else { return Some(format!("there is no {verb}")) };
            command = known;
            if verbs.contains('|') {
                return None;
            }
        }
    }
    let global = cli.get_arguments().filter_map(|arg| arg.get_long());
    let known: Vec<&str> = command.get_arguments().filter_map(|arg| arg.get_long()).chain(global).collect();
    words.find_map(|word| {
        let flag = word.trim_start_matches(['[', '(']).strip_prefix("--")?;
        let flag = flag.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next()?;
        (!known.contains(&flag) && flag != "help").then(|| format!("there is no --{flag}"))
    })
}
