//! Tables with a head, for people.

use console::{Alignment, measure_text_width, pad_str, style};

/// Columns as wide as their widest cell, two blanks between them.
pub(in crate::cli) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
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
    let head = style(line(&head.map(str::to_owned))).dim().to_string();
    std::iter::once(head).chain(rows.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "dual".to_owned()], ["a-long-name".to_owned(), String::new()]];
        let lines = table(["TENANT", "AT"], &rows);
        let plain: Vec<_> = lines.iter().map(|line| console::strip_ansi_codes(line)).collect();
        assert_eq!(plain, ["TENANT       AT", "a            dual", "a-long-name"]);
    }
}
