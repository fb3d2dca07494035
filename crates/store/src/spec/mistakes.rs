//! Every mistake of a spec at once. The parser stops at the first, so that one is made good, and the rest is read again.

use super::{Spec, SpecError, read};

/// A file with more has something else wrong.
const MISTAKES_MAX: usize = 50;

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    ///
    /// All its mistakes that can be told apart, by line; at least one.
    pub fn read(text: &str) -> Result<Self, Vec<SpecError>> {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let mut mistakes: Vec<(usize, SpecError)> = Vec::new();
        while mistakes.len() < MISTAKES_MAX {
            let mistake = match read::spec(&lines.join("\n")) {
                Ok(spec) if mistakes.is_empty() => return Ok(spec),
                Ok(_) => break,
                Err(mistake) => mistake,
            };
            let line = mistake.line();
            // What follows from a mistake is not another one.
            if mistakes.iter().any(|(at, _)| *at == line) {
                break;
            }
            let goes_on = !mistake.is_missing() && make_good(&mut lines, line);
            mistakes.push((line, mistake));
            if !goes_on {
                break;
            }
        }
        mistakes.sort_by_key(|(line, _)| *line);
        Err(mistakes.into_iter().map(|(_, mistake)| mistake).collect())
    }
}

/// Replaces what is wrong in a line, counted from 1, by what is not, or by nothing. False: nobody knows how.
fn make_good(lines: &mut [String], line: usize) -> bool {
    let Some(at) = line.checked_sub(1).filter(|at| *at < lines.len()) else { return false };
    let text = lines[at].trim().to_owned();
    if text.starts_with('[') {
        // A table that is not known, with all that belongs to it.
        let end = lines[at + 1..].iter().position(|line| line.trim_start().starts_with('['));
        let end = end.map_or(lines.len(), |next| at + 1 + next);
        lines[at..end].iter_mut().for_each(String::clear);
        return true;
    }
    let Some((key, value)) = text.split_once('=') else { return false };
    let (key, value) = (key.trim(), value.trim());
    // A value of several lines can't be taken out by one.
    if value.matches(['[', '{']).count() != value.matches([']', '}']).count() || value.contains("\"\"\"") {
        return false;
    }
    lines[at] = match key {
        "migration" => "migration = \"m\"".to_owned(),
        "type" => "type = \"text\"".to_owned(),
        // Everything else in a section depends on them.
        "url" | "table" | "name" => return false,
        _ => String::new(),
    };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_told_in_the_order_of_their_lines() {
        let text = "migration = \"Orders\"\nserver = 7\nresidual_ms = \"1s\"\n[source]\nurl = \"sqlite:a.db\"\n\
                    table = \"t\"\nkey = order_id\ntenat = \"x\"\n[target]\nurl = \"sqlite:b.db\"\ntable = \"t\"\n\
                    password_env = \"P\"\n[limts]\nworkers = 1\n[limits]\nworkers = 0\n";
        let told: Vec<String> =
            Spec::read(text).expect_err("mistakes").iter().map(ToString::to_string).collect();
        let parts = [
            "line 1, column 13: migration: no migration's key",
            "line 2, column 10: server: ",
            "line 3, column 15: residual_ms: give milliseconds as a number without quotes, like 1000",
            "line 7, column 7: key: a text needs quotes: key = \"order_id\"",
            "line 8, column 1: unknown \"tenat\": did you mean \"tenant\"?",
            "line 12, column 16: password_env: this store takes no password",
            "line 13, column 2: unknown \"limts\": did you mean \"limits\"?",
            "line 16, column 11: workers: 0 is out of range",
        ];
        assert_eq!(told.len(), parts.len(), "{told:#?}");
        for (told, part) in told.iter().zip(parts) {
            assert!(told.starts_with(part), "{told}");
        }
    }

    #[test]
    fn a_spec_without_mistakes_is_read() {
        let text = "migration = \"orders\"\n[source]\nurl = \"sqlite:a.db\"\ntable = \"t\"\n[target]\n\
                    url = \"sqlite:b.db\"\ntable = \"t\"\n";
        assert_eq!(Spec::read(text), text.parse::<Spec>().map_err(|mistake| vec![mistake]));
    }
}
