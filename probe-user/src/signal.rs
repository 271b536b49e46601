//! Linux signal numbers and their names (`signal(7)`; the numbers of x86 and ARM).

const NAMES: [&str; 32] = [
    "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
    "IO", "PWR", "SYS",
];

/// `SIGKILL` for 9, `SIGRTMIN+2` for 36, `signal 99` for what Linux does not have.
pub fn name(number: u8) -> String {
    match number {
        1..=31 => format!("SIG{}", NAMES[usize::from(number)]),
        34 => "SIGRTMIN".to_owned(),
        35..=64 => format!("SIGRTMIN+{}", number - 34),
        _ => format!("signal {number}"),
    }
}

/// The number of `KILL`, `SIGKILL` or `9`, in any case.
pub fn number(name: &str) -> Option<u8> {
    if let Ok(number) = name.parse::<u8>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = bare.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse::<u8>().ok()? };
        return (offset <= 30).then_some(34 + offset);
    }
    NAMES.iter().skip(1).position(|known| *known == bare).and_then(|index| u8::try_from(index + 1).ok())
}

/// The name that was most likely meant, if one is near enough; without `SIG`.
pub fn nearest(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let near = |name: &&&str| strsim::damerau_levenshtein(bare, name) == 1;
    (bare.len() <= 16).then(|| NAMES.iter().skip(1).find(near).copied()).flatten()
}
