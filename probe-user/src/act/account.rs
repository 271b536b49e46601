//! Whom an action runs as: numbers, groups and home from /etc/passwd and /etc/group, as `su` and cron go by them. Users from
//! elsewhere (LDAP, say) are not known here.

use std::fs::File;
use std::io::{self, Read as _};

use super::wire::Who;

/// Bytes of either file that are looked at.
const SIZE_MAX: u64 = 16 << 20;

/// A user of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The primary one is among them.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// The account of this host; the error says what is missing.
pub(super) fn find(who: &Who) -> Result<Account, String> {
    let read = |path: &str| text_of(path).map_err(|error| format!("{path}: {error}"));
    find_in(who, &read("/etc/passwd")?, &read("/etc/group")?)
}

fn text_of(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find_in(who: &Who, passwd: &str, group: &str) -> Result<Account, String> {
    let mut accounts = passwd.lines().filter_map(account_of);
    let found = match who {
        Who::Name(name) => accounts.find(|account| account.name == *name),
        Who::Uid(uid) => accounts.find(|account| account.uid == *uid),
    };
    let Some(mut account) = found else {
        return Err(match who {
            Who::Name(name) => format!("/etc/passwd has no user {name}"),
            Who::Uid(uid) => format!("/etc/passwd has no user of number {uid}, so its group is not known"),
        });
    };
    let others = group.lines().filter_map(|line| {
        let [_, _, gid, members] = line.split(':').collect::<Vec<_>>().try_into().ok()?;
        members.split(',').any(|member| member == account.name).then(|| gid.parse::<u32>().ok())?
    });
    account.groups = std::iter::once(account.gid).chain(others).collect();
    account.groups.sort_unstable();
    account.groups.dedup();
    Ok(account)
}

/// `None` for a line that is not of the form.
fn account_of(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let (name, _, uid, gid, _, home) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    let is_name = !name.is_empty() && !name.starts_with(['+', '-', '#']);
    is_name.then(|| Account { name: name.to_owned(), uid, gid, groups: Vec::new(), home: home.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n#off:x:1:1::/:\n+::::::\nshort:x:3:3\n\
                          postgres:x:114:120:PostgreSQL:/var/lib/postgresql:/bin/bash\nbad:x:-1:0::/:\n";
    const GROUP: &str = "root:x:0:\nssl-cert:x:119:other,postgres\npostgres:x:120:postgres\npost:x:7:post\nno\n";

    #[test]
    fn groups_are_the_users_own() {
        let account = find_in(&Who::Name("postgres".into()), PASSWD, GROUP).unwrap();
        assert_eq!((account.uid, account.gid, account.groups), (114, 120, vec![119, 120]));
        assert_eq!(account.home, "/var/lib/postgresql");
        assert_eq!(find_in(&Who::Uid(114), PASSWD, GROUP).unwrap().name, "postgres");
        assert_eq!(find_in(&Who::Uid(0), PASSWD, GROUP).unwrap().groups, [0]);
    }

    #[test]
    fn who_is_not_there_is_named() {
        for (who, expected) in [
            (Who::Name("nosuch".into()), "no user nosuch"),
            (Who::Name("short".into()), "no user short"),
            (Who::Name("+".into()), "no user +"),
            (Who::Uid(4000), "no user of number 4000"),
        ] {
            let why = find_in(&who, PASSWD, GROUP).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
