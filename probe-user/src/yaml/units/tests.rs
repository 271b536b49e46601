use proptest::prelude::*;

use super::*;

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    read: fn(&str) -> Result<T, String>,
    good: &[(&str, T)],
    bad: &[(&str, &str)],
) {
    for (text, expected) in good {
        assert_eq!(read(text).as_ref(), Ok(expected), "{text}");
    }
    for (text, part) in bad {
        let error = read(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn durations() {
    let ms = Duration::from_millis;
    check(
        duration,
        &[
            ("10s", ms(10_000)),
            ("1m", ms(60_000)),
            ("1h30m", ms(5_400_000)),
            ("500ms", ms(500)),
            ("2d", ms(172_800_000)),
            ("1d2h3m4s5ms", ms(93_784_005)),
            ("0s", ms(0)),
            ("90m", ms(5_400_000)),
        ],
        &[
            ("10", "unit is missing"),
            ("1.5s", "smaller units"),
            ("1m1h", "large ones first"),
            ("1s1s", "at most once"),
            ("1 m", "the units are"),
            ("-1s", "the units are"),
            ("s", "the units are"),
            ("", "the units are"),
            ("1w", "the units are"),
            ("1s ", "the units are"),
            ("4000d", "longest"),
            ("99999999999999999999d", "the units are"),
            ("9999999999999999999d", "longest"),
        ],
    );
}

#[test]
fn sizes() {
    check(
        size,
        &[
            ("1GiB", 1 << 30),
            ("512MiB", 512 << 20),
            ("1KiB", 1024),
            ("10MB", 10_000_000),
            ("1.5GiB", 3 << 29),
            ("2 TiB", 2 << 40),
            ("7B", 7),
            ("0B", 0),
        ],
        &[
            ("10", "unit is missing"),
            ("1G", "did you mean GiB?"),
            ("1gb", "did you mean GiB?"),
            ("512m", "did you mean MiB?"),
            ("1 parsec", "the units are"),
            ("1.2.3GiB", "1 or 1.5"),
            ("1.GiB", "1 or 1.5"),
            (".5GiB", "1 or 1.5"),
            ("-1GiB", "negative"),
            ("GiB", "a number comes first"),
            ("9999999999999TiB", "the most"),
            ("1e9B", "the units are"),
        ],
    );
}

#[test]
fn rates_and_percentages() {
    check(rate, &[("10MiB/s", 10 << 20)], &[("10MiB", "ends in /s"), ("10/s", "unit is missing")]);
    check(percent, &[("10%", 0.1), ("2.5 %", 0.025), ("100%", 1.0)], &[("101%", "100%"), ("0.1", "ends in %")]);
}

proptest! {
    #[test]
    fn nothing_panics(text in "[0-9.]{0,30}[ a-zA-Z%/]{0,6}[0-9]{0,3}[a-z]{0,2}|\\PC{0,20}") {
        let _ = (duration(&text), size(&text), rate(&text), percent(&text));
    }

    /// The patterns given to editors accept what is accepted here (lookahead apart, which the regex crate lacks).
    #[test]
    fn what_is_read_fits_the_pattern(text in "[0-9]{1,3}(\\.[0-9])?(ms|s|m|h|d|B|KiB|MB|kB|GiB/s|%| %| MiB)([0-9]{1,2}(ms|s))?") {
        let fits = |form: &Form| {
            let pattern = form.pattern.unwrap_or("").replace("(?=.)", "");
            regex::Regex::new(&pattern).expect("a pattern").is_match(&text)
        };
        prop_assert_eq!(duration(&text).is_ok(), fits(&DURATION), "{}", text);
        prop_assert_eq!(size(&text).is_ok(), fits(&SIZE), "{}", text);
        prop_assert_eq!(rate(&text).is_ok(), fits(&RATE), "{}", text);
        prop_assert!(percent(&text).is_err() || fits(&PERCENT), "{}", text);
    }
}
