//! A table for people: columns side by side, numbers to the right.

use tapline_pipe::printable::printable;

/// Appends the table, a line each for `header` and `rows`; nothing for no rows. A column is as wide as its widest
/// cell; one that holds numbers only (or `-`, for what isn't known) is aligned to the right.
pub fn write<const N: usize>(header: [&str; N], rows: &[[String; N]], out: &mut Vec<String>) {
    if rows.is_empty() {
        return;
    }
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| printable(cell).into_owned()))
        .collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([header[at].len()]).max().unwrap_or(0)
    };
    let is_number = |cell: &String| cell == "-" || cell.parse::<i64>().is_ok();
    let columns: [(usize, bool); N] =
        std::array::from_fn(|at| (width(at), rows.iter().all(|row| is_number(&row[at]))));
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(columns);
        let aligned = cells.map(|(cell, (width, number))| {
            if number {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        let line = aligned.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned()
    };
    out.push(line(header));
    for row in &rows {
        out.push(line(std::array::from_fn(|at| row[at].as_str())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_side_by_side() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["a", "1", "x"]), row(["gr\u{f6}\u{df}er", "-", "yz"])];
        let mut out = vec!["above".to_owned()];
        write(["TOPIC", "OFFSET", "WHO"], &rows, &mut out);
        let want = [
            "above",
            "TOPIC   OFFSET  WHO",
            "a            1  x",
            "gr\u{f6}\u{df}er       -  yz",
        ];
        assert_eq!(out, want);
        let mut forged = Vec::new();
        write(["WHO"], &[["a\n\x1b[2Jb".to_owned()]], &mut forged);
        assert_eq!(forged, ["WHO", r"a\n\u{1b}[2Jb"]);
        write(["TOPIC"], &[], &mut out);
        assert_eq!(out.len(), want.len());
    }
}
