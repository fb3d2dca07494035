//! Where callers connect: a unix socket, or an address on loopback.

use std::{
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::listen;

/// Why no calls can be taken.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Other machines could reach it.
    #[error(
        "--listen {0} is not a loopback address: others could read and write every record. Give 127.0.0.1:PORT, or --socket PATH"
    )]
    NotLoopback(SocketAddr),
    /// The address is in use, for example.
    #[error("can't listen on {address}: {error}; is another sidecar running? Choose another --listen")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
    /// Another sidecar has this socket.
    #[error("another sidecar takes calls on {0}: stop it, or choose another --socket")]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{0} exists and is not a socket: choose another --socket, or remove it")]
    NotASocket(PathBuf),
    /// The socket can't be made.
    #[error(
        "can't make the socket {path}: {error}; its directory must exist and be writable, and its path have at most 106 bytes"
    )]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// Parses `--socket-mode`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "give three octal digits, like 660".to_owned())
}

/// A socket that takes connections.
pub(super) enum Listener {
    Unix(Unix),
    Tcp(TcpListener, SocketAddr),
}

/// A unix socket with its file.
pub(super) struct Unix {
    listener: UnixListener,
    socket: Socket,
}

/// A socket's file; removed at the end, if it is still the same.
pub(super) struct Socket {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// Locked while this process lives: a file that is left behind has no lock.
    lock: fs::File,
}

impl Listener {
    /// One of the two is given.
    pub(super) async fn bind(
        socket: Option<&Path>,
        mode: u32,
        address: Option<SocketAddr>,
    ) -> Result<Self, ListenError> {
        if let Some(path) = socket {
            return Ok(Self::Unix(Unix::bind(path, mode)?));
        }
        let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        if !address.ip().is_loopback() {
            return Err(ListenError::NotLoopback(address));
        }
        let failed = |error| ListenError::Address { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self::Tcp(listener, address))
    }
}

impl listen::Listener for Unix {
    type Connection = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        listen::Listener::accept(&self.listener).await
    }

    async fn first_byte(connection: &UnixStream) -> io::Result<Option<u8>> {
        UnixListener::first_byte(connection).await
    }

    fn bound(connection: &UnixStream, unsent: Duration) -> io::Result<()> {
        UnixListener::bound(connection, unsent)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(unix) => write!(f, "unix:{}", unix.socket.path.display()),
            Self::Tcp(_, address) => write!(f, "http://{address}"),
        }
    }
}

impl Unix {
    fn bind(path: &Path, mode: u32) -> Result<Self, ListenError> {
        let failed = |error| ListenError::Socket { path: path.to_owned(), error };
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let lock = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(beside(".lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(ListenError::Taken(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ListenError::NotASocket(path.to_owned()));
            }
            // Somebody who does not lock, in place of a sidecar.
            Ok(_) if StdUnixStream::connect(path).is_ok() => return Err(ListenError::Taken(path.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Under another name until it has its permissions. The rename replaces a socket that was left behind.
        let fresh = beside("~");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = StdUnixListener::bind(&fresh).map_err(failed)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).map_err(failed)?;
        let identity = identity(&fresh).map_err(failed)?;
        fs::rename(&fresh, path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Self { listener, socket: Socket { path: path.to_owned(), identity, lock } })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
        // A child that is being started may have the open file, too, until its program begins.
        _ = self.lock.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_has_its_mode_and_replaces_only_a_dead_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let bind = async |mode| Listener::bind(Some(&path), mode, None).await;
        let first = bind(0o600).await.expect("bound");
        let mode_of = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode_of(), 0o600);
        assert!(matches!(bind(0o600).await.err(), Some(ListenError::Taken(_))));
        let Listener::Unix(Unix { socket, .. }) = &first else { unreachable!("it has a path") };
        let inherited = socket.lock.try_clone().expect("a copy, as a child has that is being started");
        drop(first);
        assert!(!path.exists());

        // Left behind by a process that was killed: nobody listens.
        drop(StdUnixListener::bind(&path).expect("bound"));
        let second = bind(0o660).await.expect("bound");
        assert_eq!(mode_of(), 0o660);
        drop(inherited);
        assert!(matches!(bind(0o600).await.err(), Some(ListenError::Taken(_))));
        drop(second);

        let other = StdUnixListener::bind(&path).expect("bound");
        assert!(matches!(bind(0o600).await.err(), Some(ListenError::Taken(_))));
        drop(other);
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "text").expect("written");
        assert!(matches!(bind(0o600).await.err(), Some(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).expect("untouched"), "text");
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
            let bound = Listener::bind(None, 0o600, Some(address.parse().expect("an address"))).await;
            assert!(matches!(bound.err(), Some(ListenError::NotLoopback(_))), "{address}");
        }
        let address = "127.0.0.1:0".parse().expect("an address");
        assert!(Listener::bind(None, 0o600, Some(address)).await.is_ok());
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!((mode("600"), mode("0660")), (Ok(0o600), Ok(0o660)));
        assert!(mode("800").is_err() && mode("1777").is_err() && mode("rw").is_err());
    }
}
