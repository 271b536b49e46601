//! Keeps secrets out of what is shown of a configuration or a policy.
//!
//! An error shows the line that it is about, and a URL on that line may carry a password or a token. Whatever is shown is
//! cut from a text in which these are starred out, character for character, so that places stay right. In
//! doubt more is starred out than needed: nobody misses it.

/// Stars out user and password, query and fragment of everything that looks like a URL.
pub(super) fn masked(text: &str) -> String {
    text.split_inclusive('\n').map(mask_line).collect()
}

fn mask_line(line: &str) -> String {
    let mut pieces = line.split("://");
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        shown.push_str("://");
        shown.push_str(&mask_rest(piece));
    }
    shown
}

/// What follows "://", up to the next one or the end of the line.
fn mask_rest(rest: &str) -> String {
    // The last "@" of all: a password may have anything unescaped in it.
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let mut shown = user.map(|user| stars(user) + "@").unwrap_or_default();
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '}');
    let host_end = rest.find(|c: char| is_end(c) || matches!(c, '/' | '?' | '#')).unwrap_or(rest.len());
    let (host, after) = rest.split_at(host_end);
    if !is_host(host) {
        // A user without an "@" on this line, perhaps: the URL goes on in the next one.
        return shown + &stars(rest);
    }
    shown.push_str(host);
    let (path, after) = after.split_at(after.find(is_end).unwrap_or(after.len()));
    if let Some(query) = path.find(['?', '#']) {
        // A query may have spaces and commas in it too.
        shown.push_str(&path[..=query]);
        shown.push_str(&stars(&path[query + 1..]));
        shown.push_str(&stars(after));
    } else {
        shown.push_str(path);
        shown.push_str(after);
    }
    shown
}

/// A name or address, and maybe a port.
fn is_host(text: &str) -> bool {
    let text = text.trim_end_matches(']');
    let port = text.rsplit_once(':').map_or("", |(_, port)| port);
    text.starts_with('[') || port.bytes().all(|byte| byte.is_ascii_digit())
}

/// As many stars as there are characters; spaces stay, they end lines and words.
fn stars(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(masked(text), expected);
    }

    #[test]
    fn secrets_are_starred_out_in_place() {
        check("url: http://c.example:1/x # y", "url: http://c.example:1/x # y");
        check("url: [http://a, \"http://[::1]:8/\"]\n", "url: [http://a, \"http://[::1]:8/\"]\n");
        check("u: https://o:päss@c/x, v: 1", "u: https://******@c/x, v: 1");
        check("u: [\"https://a:b/c?d@h/\", http://h/?t=s#f]", "u: [\"https://*******@h/\", http://h/?******");
        check("u: \"https://h/?a=b c\", v: 1\nw: 2", "u: \"https://h/?*** *** ** *\nw: 2");
        check("\nhttps://h/#frag\n", "\nhttps://h/#****\n");
        check("u: \"https://ops:hun\n  ter2@c/\"", "u: \"https://*******\n  ter2@c/\"");
        check("no url: a@b", "no url: a@b");
    }

    proptest! {
        #[test]
        fn places_stay(text in "([a-z@:/?# \",\n]|://){0,60}") {
            let shown = masked(&text);
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            prop_assert_eq!(shown.lines().count(), text.lines().count());
        }
    }
}
