//! The user that the server runs as: Postgres refuses to be root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::StoreError;

/// Who runs the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The user that we are.
    Ours,
    /// Another user, because we are root.
    Other {
        /// Its name, or its number if it has none.
        name: String,
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl Account {
    /// As root the owner of the existing `cluster`, else `postgres`, else `nobody`; otherwise ourselves.
    pub(super) fn choose(cluster: &Path) -> Result<Self, StoreError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        if let Ok(metadata) = fs::metadata(cluster)
            && metadata.uid() != 0
        {
            let name = format!("with id {}", metadata.uid());
            return Ok(Self::Other { name, uid: metadata.uid(), gid: metadata.gid() });
        }
        let passwd = Path::new("/etc/passwd");
        let users = fs::read_to_string(passwd).map_err(StoreError::file("read", passwd))?;
        let found = ["postgres", "nobody"].iter().find_map(|name| lookup(&users, name));
        found.ok_or_else(|| {
            StoreError::DataDir(
                "Postgres does not run as root, and there is neither a user \"postgres\" nor \"nobody\" to run \
                 it as; create one of them or start as an ordinary user"
                    .to_owned(),
            )
        })
    }

    /// Let the command run as this user.
    pub(super) fn apply(&self, command: &mut Command) {
        match self {
            Self::Ours => {}
            Self::Other { uid, gid, .. } => {
                command.uid(*uid).gid(*gid);
            }
        }
    }

    /// Make `directory` with mode 0700, owned by this user, unless it is there already; then it must be so.
    pub(super) fn private_directory(&self, directory: &Path) -> Result<(), StoreError> {
        match fs::create_dir(directory) {
            Ok(()) => {
                let mode = fs::Permissions::from_mode(0o700);
                fs::set_permissions(directory, mode)
                    .map_err(StoreError::file("set the mode of", directory))?;
                match self {
                    Self::Ours => Ok(()),
                    Self::Other { uid, gid, .. } => chown(directory, Some(*uid), Some(*gid))
                        .map_err(StoreError::file("change the owner of", directory)),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => self.check_private(directory),
            Err(error) => Err(StoreError::file("create", directory)(error)),
        }
    }

    /// Whether nobody else can have put something into `directory`.
    fn check_private(&self, directory: &Path) -> Result<(), StoreError> {
        // Not following a link: somebody else may have made one under a name that can be guessed.
        let metadata = fs::symlink_metadata(directory).map_err(StoreError::file("look at", directory))?;
        let uid = match self {
            Self::Ours => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => *uid,
        };
        if metadata.is_dir() && metadata.uid() == uid && metadata.mode() & 0o077 == 0 {
            return Ok(());
        }
        Err(StoreError::DataDir(format!(
            "{} should be a directory of the user that runs Postgres (id {uid}) which nobody else can enter; \
             remove it and start again",
            directory.display()
        )))
    }

    /// Check that this user can get to `directory`, which is ours to open for it; its parents are not.
    pub(super) fn check_reachable(&self, directory: &Path) -> Result<(), StoreError> {
        let Self::Other { name, uid, gid } = self else { return Ok(()) };
        for place in directory.ancestors() {
            let metadata = fs::metadata(place).map_err(StoreError::file("look at", place))?;
            if may_enter(metadata.mode(), metadata.uid() == *uid, metadata.gid() == *gid) {
                continue;
            }
            if place == directory {
                let mode = fs::Permissions::from_mode(metadata.mode() | 0o011);
                fs::set_permissions(place, mode).map_err(StoreError::file("set the mode of", place))?;
                continue;
            }
            return Err(StoreError::DataDir(format!(
                "Postgres does not run as root, and the user {name} that runs it instead cannot enter {}, which \
                 the data directory {} is in; use a data directory elsewhere, `chmod o+x` that one, or start as \
                 an ordinary user",
                place.display(),
                directory.display()
            )));
        }
        Ok(())
    }
}

fn may_enter(mode: u32, owner: bool, group: bool) -> bool {
    let bit = match (owner, group) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    mode & bit != 0
}

/// The user of this name in the text of a passwd file.
fn lookup(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account::Other { name: format!("{name:?}"), uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_looked_up_by_its_whole_name() {
        let passwd = "root:x:0:0::/:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:,,:/:/bin/sh\n";
        let found = lookup(passwd, "postgres").unwrap();
        assert_eq!(found, Account::Other { name: "\"postgres\"".to_owned(), uid: 101, gid: 104 });
        assert_eq!(lookup(passwd, "nobody"), None);
    }

    #[test]
    fn a_parent_that_the_user_cannot_enter_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let data_dir = parent.path().join("postgres");
        fs::create_dir(&data_dir).unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Other { name: "\"nobody\"".to_owned(), uid: 65_534, gid: 65_534 };
        let message = stranger.check_reachable(&data_dir).unwrap_err().to_string();
        let expected = format!("cannot enter {}, which the data directory", parent.path().display());
        assert!(message.contains(&expected), "{message}");
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o711)).unwrap();
        stranger.check_reachable(&data_dir).unwrap();
    }

    #[test]
    fn a_link_in_place_of_the_socket_directory_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let link = parent.path().join("socket");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(Account::Ours.private_directory(&link).is_err());
    }
}
