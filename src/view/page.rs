//! Lines that fit a terminal.

use console::measure_text_width;

/// A text on lines of at most `width` columns, broken between words; later lines are indented like the
/// first, and by two more.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    if measure_text_width(text) <= width {
        return vec![text.to_owned()];
    }
    let indent = text.len() - text.trim_start().len();
    let mut lines: Vec<String> = Vec::new();
    let mut line = " ".repeat(indent);
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && measure_text_width(&line) + 1 + measure_text_width(word) > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

/// Parts of a page, most important first. Of a page that is too long the least important parts are left
/// out; the order in which they are shown stays.
#[derive(Debug, Default)]
pub(super) struct Page {
    parts: Vec<(u8, Vec<String>)>,
}

impl Page {
    /// Adds a part. `keep`: the higher, the longer it is kept.
    pub(super) fn push(&mut self, keep: u8, lines: Vec<String>) {
        self.parts.push((keep, lines));
    }

    /// How many lines it has.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|(_, lines)| lines.len()).sum()
    }

    /// At most so many lines.
    pub(super) fn lines(mut self, height: usize) -> Vec<String> {
        while self.len() > height {
            let Some(least) = self.parts.iter().map(|(keep, _)| *keep).min() else { break };
            if self.parts.iter().all(|(keep, _)| *keep == least) {
                break;
            }
            self.parts.retain(|(keep, _)| *keep > least);
        }
        let mut lines: Vec<String> = self.parts.into_iter().flat_map(|(_, lines)| lines).collect();
        lines.truncate(height);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_and_later_lines_are_indented() {
        assert_eq!(wrap("  one two three four", 11), ["  one two", "    three", "    four"]);
        assert_eq!(wrap("averyveryverylongword x", 5), ["averyveryverylongword", "  x"]);
        assert_eq!(wrap("short", usize::MAX), ["short"]);
    }

    #[test]
    fn the_least_important_parts_go_first() {
        let lines = |name: &str, count: usize| vec![name.to_owned(); count];
        let page = || {
            let mut page = Page::default();
            page.push(9, lines("remedy", 2));
            page.push(1, lines("rates", 4));
            page.push(5, lines("shares", 3));
            page
        };
        assert_eq!(page().lines(9).len(), 9);
        assert_eq!(page().lines(8).join(" "), "remedy remedy shares shares shares");
        assert_eq!(page().lines(4).join(" "), "remedy remedy");
        assert_eq!(page().lines(1), ["remedy"]);
    }
}
