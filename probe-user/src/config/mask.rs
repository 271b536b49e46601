//! Keeps secrets of the configuration out of what is shown of it.
//!
//! An error shows the line that it is about, and a URL on that line may carry a password or a token. Whatever is shown is
//! cut from a copy of the text in which these are starred out, character for character, so that places stay right.

use std::borrow::Cow;

use regex::{Captures, Regex};

/// Stars out user and password, query and fragment of everything that looks like a URL.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let Ok(url) = Regex::new(r#"://[^\s"'`]*"#) else {
        // Cannot happen; without the pattern nothing of the file is shown at all.
        return Cow::Owned(text.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect());
    };
    url.replace_all(text, |found: &Captures<'_>| mask_url(&found[0]))
}

/// `://user:secret@host/path?query` with its secret parts starred out.
fn mask_url(url: &str) -> String {
    let rest = url.strip_prefix("://").unwrap_or(url);
    // The last "@" of all: a password with an unescaped "/", "?" or "@" in it must not show either.
    let (user, host) = rest.rsplit_once('@').map_or(("", rest), |(user, host)| (user, host));
    let at = if host.len() < rest.len() { "@" } else { "" };
    let (shown, query) = host.find(['?', '#']).map_or((host, ""), |at| host.split_at(at + 1));
    format!("://{}{at}{shown}{}", stars(user), stars(query))
}

fn stars(text: &str) -> String {
    "*".repeat(text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(masked(text), expected);
        assert_eq!(masked(text).chars().count(), text.chars().count());
    }

    #[test]
    fn secrets_are_starred_out_in_place() {
        check("url: http://c.example:1/x # y", "url: http://c.example:1/x # y");
        check("u: https://o:päss@c/x, v: 1", "u: https://******@c/x, v: 1");
        check("u: [\"https://a:b/c?d@h/\", http://h/?t=s#f]", "u: [\"https://*******@h/\", http://h/?******");
        check("\nhttps://h/#frag\n", "\nhttps://h/#****\n");
        check("no url: a@b", "no url: a@b");
    }
}
