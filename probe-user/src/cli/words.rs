//! Figures for people: values with their units.

use std::fmt::Write as _;

/// A value in its measure's unit.
pub(super) fn amount(measure: &str, value: f64) -> String {
    match measure {
        "cpu" | "cpu_wait" => format!("{value:.2} cores"),
        "memory" => bytes(value),
        "read" | "write" => format!("{}/s", bytes(value)),
        "age" => span(value),
        _ => format!("{value}"),
    }
}

pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// The two largest units of a time in seconds.
pub(super) fn span(seconds: f64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let mut text = String::new();
    let mut told = 0;
    for (name, size) in UNITS {
        let count = rest / size;
        rest %= size;
        if told > 0 || count > 0 {
            told += 1;
            if count > 0 {
                let _ = write!(text, "{count}{name}");
            }
        }
        if told == 2 {
            break;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Columns as wide as their widest cell.
pub(super) fn table<const COLUMNS: usize>(page: &mut String, rows: &[[String; COLUMNS]]) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        page.push_str(cells.join("  ").trim_end());
        page.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        for (seconds, expected) in [(0.4, "0s"), (59.9, "59s"), (61.0, "1m1s"), (3600.0, "1h"), (90_061.0, "1d1h")] {
            assert_eq!(span(seconds), expected);
        }
        assert_eq!(span(f64::NAN), "0s");
        for (size, expected) in [(0.0, "0 B"), (1023.0, "1023 B"), (1536.0, "1.5 KiB"), (1e18, "909494.7 TiB")] {
            assert_eq!(bytes(size), expected);
        }
    }
}
