//! The host's user names, as /etc/passwd has them. Names from elsewhere (LDAP, say) are not known here: a policy names
//! such a user by number.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::spec::Users;

const PASSWD: &str = "/etc/passwd";
/// Bytes of the file that are looked at; hundreds of thousands of users fit.
const SIZE_MAX: u64 = 16 << 20;

/// The names of the host that the daemon runs on.
pub fn read() -> io::Result<Users> {
    let mut bytes = Vec::new();
    File::open(Path::new(PASSWD))?.take(SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

/// From the text of a passwd file. A line that is not of its form is passed over; of two names for one number the first
/// one counts, as it does for `ls`.
pub fn parse(text: &str) -> Users {
    let mut users = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next()) else { continue };
        // `+` and `-` begin lines that stand for another source of names.
        let is_name = !name.is_empty() && !name.starts_with(['+', '-', '#']);
        if let (true, Ok(uid)) = (is_name, uid.parse::<u32>()) {
            users.entry(uid).or_insert_with(|| Arc::from(name));
        }
    }
    Users(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_passwd_file() {
        let text = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/false\n\
                    +nis::::::\n#old:x:5:5::/:\n:x:6:6::/:\nno\nbad:x:-1:1::/:\nhuge:x:4294967296:1::/:\nlast:x:7";
        let mut found: Vec<(u32, String)> = parse(text).0.iter().map(|(uid, name)| (*uid, name.to_string())).collect();
        found.sort();
        assert_eq!(found, [(0, "root".to_owned()), (7, "last".to_owned()), (33, "www-data".to_owned())]);
    }
}
