//! Where others may be: the places of `join`, looked up again now and then. Names take as long as the resolver takes, files are
//! small or refused; what cannot be looked up is told once, until it can be.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr as _;

use tokio::net::lookup_host;

use crate::config::Join;
use crate::yaml::read::plain;

/// Most addresses that are handed on.
const FOUND_MAX: usize = 256;
/// Largest file that is read.
const FILE_MAX: u64 = 64 << 10;

/// What was found, and what was wrong.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) notes: Vec<String>,
}

/// Looks everything up.
pub(super) async fn find(places: Vec<Join>) -> Found {
    let mut addresses = BTreeSet::new();
    let mut notes = Vec::new();
    let mut open: Vec<(Join, bool)> = places.into_iter().map(|place| (place, true)).collect();
    while let Some((place, may_be_file)) = open.pop() {
        if addresses.len() >= FOUND_MAX {
            break;
        }
        match place {
            Join::Address(address) => {
                addresses.insert(address);
            }
            Join::Name(name, port) => match lookup_host((name.as_str(), port)).await {
                Ok(found) => addresses.extend(found.take(FOUND_MAX)),
                Err(error) => notes.push(format!("{name} is not found: {}", plain(&error))),
            },
            Join::File(path) if may_be_file => match lines(&path) {
                Ok((places, wrong)) => {
                    notes.extend(wrong);
                    open.extend(places.into_iter().map(|place| (place, false)));
                }
                Err(why) => notes.push(format!("{}: {why}", path.display())),
            },
            Join::File(path) => notes.push(format!("{}: a file of places names no other file", path.display())),
        }
    }
    notes.sort();
    Found { addresses: addresses.into_iter().take(FOUND_MAX).collect(), notes }
}

/// The places in a file, one a line; `#` begins a comment.
fn lines(path: &Path) -> Result<(Vec<Join>, Vec<String>), String> {
    let metadata = std::fs::metadata(path).map_err(|error| plain(&error))?;
    if !metadata.is_file() || metadata.len() > FILE_MAX {
        return Err(format!("not a regular file of at most {FILE_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| plain(&error))?;
    let (mut places, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        match Join::from_str(line) {
            _ if line.is_empty() => {}
            Ok(place) => places.push(place),
            Err(why) => wrong.push(format!("{}:{number}: {why}", path.display())),
        }
        if places.len() > FOUND_MAX {
            wrong.push(format!("{}: only its first {FOUND_MAX} places are used", path.display()));
            break;
        }
    }
    Ok((places, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, addresses: &[&str], notes: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, text).unwrap();
        let found = find(vec![Join::File(path)]).await;
        let shown: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown, addresses, "{text}");
        assert_eq!(found.notes.len(), notes.len(), "{:?}", found.notes);
        assert!(found.notes.iter().zip(notes).all(|(note, part)| note.contains(part)), "{:?}", found.notes);
    }

    #[tokio::test]
    async fn a_file_is_read_line_by_line() {
        check("", &[], &[]).await;
        check("# none\n\n10.0.0.2\n10.0.0.1:1 # one\n10.0.0.2:7946\n", &["10.0.0.1:1", "10.0.0.2:7946"], &[]).await;
        check("a b\n10.0.0.2\n/etc/other\n", &["10.0.0.2:7946"], &["a file of places", ":1: letters"]).await;
        let line = |number: u32| format!("10.0.{}.{}", number / 250, number % 250 + 1);
        let many = (0..300).map(line).collect::<Vec<_>>().join("\n");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, many).unwrap();
        let found = find(vec![Join::File(path.clone()), Join::File(dir.path().join("missing"))]).await;
        assert_eq!((found.addresses.len(), found.notes.len()), (FOUND_MAX, 2), "{:?}", found.notes);
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let found = find(vec![Join::Name("localhost".into(), 7), Join::Name("no.such.invalid".into(), 7)]).await;
        assert!(found.addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        assert!(found.notes.iter().any(|note| note.contains("no.such.invalid")), "{found:?}");
    }
}
