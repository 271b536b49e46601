//! Values with a unit: durations, sizes, rates, cores and shares. Pure; an error is the sentence that helps.
//!
//! A bare number is always an error: a reader of `for: 10` should not have to know the unit.

use std::time::Duration;

use super::keys::Form;

/// Longest duration: ten years. What is meant to be for ever is left out instead.
pub const DURATION_MAX: Duration = Duration::from_hours(3650 * 24);

/// `10s`
pub const DURATION: Form = Form {
    what: "a duration",
    pattern: Some(r"^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
    examples: &["10s", "1m", "1h30m", "500ms", "2d"],
};
/// `512MiB`
pub const SIZE: Form = Form {
    what: "a size with its unit",
    pattern: Some(r"^[0-9]+(\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)$"),
    examples: &["512MiB", "1GiB", "1.5GiB", "10MB"],
};
/// `10MiB/s`
pub const RATE: Form = Form {
    what: "a rate in bytes a second",
    pattern: Some(r"^[0-9]+(\.[0-9]+)? ?(B|[KMGT]iB|[kKMGT]B)/s$"),
    examples: &["10MiB/s", "500KiB/s"],
};
/// `10%`
pub const PERCENT: Form =
    Form { what: "a percentage", pattern: Some(r"^[0-9]+(\.[0-9]+)? ?%$"), examples: &["10%", "2.5%"] };

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// `10s`, `1m`, `1h30m`, `500ms`, `2d`: whole numbers, each unit at most once, the large ones first.
pub fn duration(text: &str) -> Result<Duration, String> {
    /// Name and milliseconds, the large ones first.
    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    const ORDER: &str =
        "the units are d, h, m, s and ms, each at most once and the large ones first: 90s, 10m, 1h30m, 7d";
    let mut rest = text;
    let mut allowed = &UNITS[..];
    let mut millis: u64 = 0;
    if text.is_empty() {
        return Err(ORDER.to_owned());
    }
    while !rest.is_empty() {
        let (digits, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
        if !digits.is_empty() && unit.is_empty() {
            let known = if after.is_empty() {
                format!("the unit is missing: {text}s, or another of d, h, m, s, ms")
            } else {
                ORDER.to_owned()
            };
            return Err(if after.starts_with('.') {
                "write fractions in smaller units: 1s500ms".to_owned()
            } else {
                known
            });
        }
        let Some(index) = allowed.iter().position(|(name, _)| *name == unit) else { return Err(ORDER.to_owned()) };
        let number: u64 = digits.parse().map_err(|_| ORDER.to_owned())?;
        millis = millis.saturating_add(number.saturating_mul(allowed[index].1));
        allowed = &allowed[index + 1..];
        rest = after;
    }
    let duration = Duration::from_millis(millis);
    if duration > DURATION_MAX { Err("the longest duration is 3650d".to_owned()) } else { Ok(duration) }
}

/// `1GiB`, `512MiB`, `1.5 GiB`, `10MB`, in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text)?;
    let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let meant = SIZE_UNITS.iter().find(|(name, _)| {
            let first = |of: &str| of.chars().next().map(|c| c.to_ascii_uppercase());
            name.len() == 3 && first(name) == first(unit)
        });
        return Err(match (unit, meant) {
            ("", _) => "the unit is missing: B, KiB, MiB, GiB, TiB, or KB, MB, GB, TB for powers of 1000".to_owned(),
            (_, Some((name, _))) => format!("did you mean {name}?"),
            _ => "the units are B, KiB, MiB, GiB, TiB, and KB, MB, GB, TB for powers of 1000".to_owned(),
        });
    };
    scaled(number, *factor)
}

/// `10MiB/s`, in bytes a second.
pub fn rate(text: &str) -> Result<u64, String> {
    let Some(bytes) = text.strip_suffix("/s") else {
        let more = if size(text).is_ok() { format!(": {text}/s") } else { String::new() };
        return Err(format!("a rate ends in /s{more}"));
    };
    size(bytes)
}

/// `10%` as 0.1; at most 100%.
pub fn percent(text: &str) -> Result<f64, String> {
    let (number, unit) = number_and_unit(text)?;
    if unit != "%" {
        return Err("a percentage ends in %".to_owned());
    }
    let share = decimal(number)? / 100.0;
    if share > 1.0 { Err("the most is 100%".to_owned()) } else { Ok(share) }
}

/// Splits `1.5 cores` into `1.5` and `cores`, with at most one space between them.
pub fn number_and_unit(text: &str) -> Result<(&str, &str), String> {
    let (number, unit) = split(text, |c| c.is_ascii_digit() || c == '.');
    if number.is_empty() {
        return Err(if text.starts_with('-') { "it cannot be negative" } else { "a number comes first" }.to_owned());
    }
    Ok((number, unit.strip_prefix(' ').unwrap_or(unit)))
}

/// `1` or `1.5`: digits, and at most one point with digits on both sides.
pub fn decimal(text: &str) -> Result<f64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() <= 18 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err("write the number as 1 or 1.5".to_owned());
    }
    text.parse().map_err(|_| "write the number as 1 or 1.5".to_owned())
}

/// Exact in integers for up to nine digits after the point, so that `1.5GiB` is what it says.
fn scaled(number: &str, factor: u64) -> Result<u64, String> {
    decimal(number)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let billionths = |digits: &str| digits.parse::<u128>().unwrap_or(u128::MAX);
    let total = billionths(whole).saturating_mul(1_000_000_000).saturating_add(billionths(&fraction));
    let bytes = total.saturating_mul(u128::from(factor)) / 1_000_000_000;
    u64::try_from(bytes).ok().filter(|bytes| *bytes <= 1 << 50).ok_or_else(|| "the most is 1024TiB".to_owned())
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests;
