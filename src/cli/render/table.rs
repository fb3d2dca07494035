//! Tables with a head, for people.

use console::{Alignment, measure_text_width, pad_str, style};

use crate::{cli::out, view::wrap};

/// Columns that the last one keeps at least before it is broken into lines.
const LAST_MIN: usize = 20;

/// Columns as wide as their widest cell, two blanks between them. The last one is broken between words where a terminal
/// ends.
pub(in crate::cli) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    table_within(head, rows, out::columns())
}

fn table_within<const N: usize>(head: [&str; N], rows: &[[String; N]], columns: usize) -> Vec<String> {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| measure_text_width(&row[at]));
        cells.chain([measure_text_width(head[at])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |cells: &[String; N]| {
        let cells = cells.iter().zip(&widths);
        let padded: Vec<String> =
            cells.map(|(cell, width)| pad_str(cell, *width, Alignment::Left, None).into_owned()).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let before: usize = widths.iter().take(N - 1).map(|width| width + 2).sum();
    let room = columns.saturating_sub(before).max(LAST_MIN);
    let lines = |cells: &[String; N]| {
        let mut parts = wrap(&cells[N - 1], room.saturating_sub(2)).into_iter();
        let mut first = cells.clone();
        first[N - 1] = parts.next().unwrap_or_default();
        let rest = parts.map(|part| format!("{}{part}", " ".repeat(before)));
        std::iter::once(line(&first)).chain(rest).collect::<Vec<_>>()
    };
    let head = style(line(&head.map(str::to_owned))).dim().to_string();
    std::iter::once(head).chain(rows.iter().flat_map(lines)).collect()
}

#[cfg(test)]
mod tests {
    use super::{table, table_within};

    #[test]
    fn the_last_column_is_broken_between_words() {
        let rows = [["mismatch".to_owned(), "at most 0.01 % differed".to_owned()]];
        let lines = table_within(["GUARD", "LIMIT"], &rows, 32);
        assert_eq!(lines[1..], ["mismatch  at most 0.01 %", "            differed"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "dual".to_owned()], ["a-long-name".to_owned(), String::new()]];
        let lines = table(["TENANT", "AT"], &rows);
        let plain: Vec<_> = lines.iter().map(|line| console::strip_ansi_codes(line)).collect();
        assert_eq!(plain, ["TENANT       AT", "a            dual", "a-long-name"]);
    }
}
