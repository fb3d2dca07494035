//! The blocks of a document: indented by four blanks, or between fences.

/// What is in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands.
    Shell,
    /// A file: the text before the block says "Save this as `NAME`".
    File(String),
    /// What the commands before it print: a fence named `text`.
    Output,
    /// Anything else.
    Other,
}

/// A block of a document.
#[derive(Clone, Debug)]
pub struct Block {
    pub kind: Kind,
    /// Of its first line, from 1.
    pub line: usize,
    pub text: String,
    /// Why it is not run: a comment `<!-- not run: why -->` before it.
    pub not_run: Option<String>,
}

const SAVED: &str = "Save this as `";
const NOT_RUN: &str = "<!-- not run: ";
/// An indented block is commands if its first line begins like this.
const FIRST_WORDS: &[&str] = &[
    "cutover",
    "./demo",
    "tests/",
    "cargo",
    "docker",
    "sudo",
    "git",
    "docs/guides/",
    "eval",
    "export",
    "cat",
    "mkdir",
    "sqlite3",
    "mariadb",
    "until",
    "tail",
    "kill",
    "psql",
    "curl",
];

/// All blocks of a document, in order.
pub fn of(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut blocks, mut before, mut at) = (Vec::new(), String::new(), 0);
    while at < lines.len() {
        let line = lines[at];
        let after_blank = at == 0 || lines[at - 1].trim().is_empty();
        let (kind, body, end) = if let Some(language) = line.strip_prefix("```") {
            let end = (at + 1..lines.len()).find(|at| lines[*at].starts_with("```")).unwrap_or(lines.len());
            let kind = match language.trim() {
                "sh" => Kind::Shell,
                "text" => Kind::Output,
                _ => Kind::Other,
            };
            (kind, lines[at + 1..end].join("\n"), end + 1)
        } else if after_blank && line.starts_with("    ") {
            let is_in = |line: &str| line.starts_with("    ") || line.trim().is_empty();
            let end = (at..lines.len()).find(|at| !is_in(lines[*at])).unwrap_or(lines.len());
            let body: Vec<&str> =
                lines[at..end].iter().map(|line| line.get(4..).unwrap_or_default()).collect();
            let shell = FIRST_WORDS.iter().any(|word| body[0].starts_with(word));
            (if shell { Kind::Shell } else { Kind::Other }, body.join("\n"), end)
        } else {
            before = if after_blank { line.to_owned() } else { format!("{before}\n{line}") };
            at += 1;
            continue;
        };
        let not_run = before.split_once(NOT_RUN).and_then(|(_, why)| why.split_once(" -->"));
        let not_run = not_run.map(|(why, _)| why.to_owned());
        let saved = before.rsplit_once(SAVED).and_then(|(_, rest)| rest.split_once('`'));
        let kind = match saved {
            Some((name, _)) if kind == Kind::Other => Kind::File(name.to_owned()),
            _ => kind,
        };
        let first = if line.starts_with("```") { at + 2 } else { at + 1 };
        blocks.push(Block { kind, line: first, text: body, not_run });
        before.clear();
        at = end.max(at + 1);
    }
    blocks
}

#[test]
fn blocks_are_found_with_what_is_said_of_them() {
    let text = "Run\n\n    cutover list\n    cutover list --json\n\nSave this as `a.yaml`; see\n[there](b.md):\n\n\
                ```yaml\na: 1\n```\n\n<!-- not run: it is slow -->\n\n```sh\ncutover demo\n```\n\n    a = b\n";
    let found: Vec<(Kind, usize, bool)> =
        of(text).into_iter().map(|block| (block.kind, block.line, block.not_run.is_some())).collect();
    let file = Kind::File("a.yaml".to_owned());
    assert_eq!(
        found,
        [(Kind::Shell, 3, false), (file, 10, false), (Kind::Shell, 16, true), (Kind::Other, 19, false)]
    );
}
