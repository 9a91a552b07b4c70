//! The socket of a running daemon: who may ask, one request a connection, answers as they come.
//!
//! Only the account that runs the daemon, and root, may ask. It knows no request closer than by its shape.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{Answer, Asked, Failure, Office, Request, Running, execute};
use crate::config::Settings;

/// A request has no longer line.
const LONGEST_REQUEST: u64 = 64 * 1024;
/// How many answers wait for a slow reader.
const ANSWERS: usize = 64;

/// The socket, until it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Without a daemon the command line looks for none; one that stays behind is found dead.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the socket for its owner alone. Whoever calls this holds the lock of the state, so a socket that is there is dead.
pub fn listen(path: &Path) -> io::Result<Socket> {
    let new = path.with_extension("new");
    for old in [&new, path] {
        match std::fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    // It has its mode before it has its name, so nobody can come in between.
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(Socket { listener, path: path.to_owned() })
}

/// Answers until told to stop. Each request is answered by the programme that is in force when it comes.
pub async fn serve(socket: Socket, running: impl Fn() -> Running, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (running, stop) = (running(), stop.clone());
                    connections.spawn(async move {
                        tokio::select! {
                            result = converse(stream, running) => if let Err(error) = result {
                                tracing::debug!(kind = %error.kind(), "a conversation on the control socket broke off");
                            },
                            () = stop.cancelled() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "the control socket could not take a connection");
                    tokio::task::yield_now().await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    while connections.join_next().await.is_some() {}
}

/// The name of an account of this machine; its number where it has no name.
#[must_use]
pub fn account(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
}

async fn converse(stream: UnixStream, running: Running) -> io::Result<()> {
    let peer = Uid::from_raw(stream.peer_cred()?.uid());
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(LONGEST_REQUEST));
    let mut line = String::new();
    read.read_line(&mut line).await?;
    let office = Office::of(running);
    let allowed = peer.is_root() || peer == Uid::effective();
    let refusal = match serde_json::from_str::<Asked>(&line) {
        Ok(_) if !allowed => Failure::failed("this account may not ask this daemon"),
        Ok(asked) if asked.programme != office.settings.programme => other_programme(&office.settings),
        Ok(asked) => return answer(read, write, &office, asked.request, &account(peer)).await,
        // What serde would say may quote what was sent.
        Err(_) => {
            Failure::failed("the daemon does not understand this request (hint: are command line and daemon of one version?)")
        }
    };
    say(&mut write, &Answer::Failed(refusal)).await
}

fn other_programme(settings: &Settings) -> Failure {
    Failure::configuration(format!(
        "{}: here runs the programme `{}`, and this configuration is of another, so nothing was done (hint: each programme has a \
         `state.directory` of its own; its configuration names the one that its service uses)",
        settings.state.directory.display(),
        settings.programme
    ))
}

/// Does what is asked, and says what comes of it as it comes.
async fn answer(
    mut read: impl AsyncReadExt + Unpin,
    mut write: impl AsyncWriteExt + Unpin,
    office: &Office,
    request: Request,
    account: &str,
) -> io::Result<()> {
    let (answers, mut next) = mpsc::channel(ANSWERS);
    let work = async {
        let ended = match execute(office, request, account, &answers).await {
            Ok(said) => Answer::Done(said),
            Err(failure) => Answer::Failed(failure),
        };
        // Nobody listens any more when whoever asked has gone away.
        let _ = answers.send(ended).await;
        drop(answers);
    };
    let speak = async {
        while let Some(answer) = next.recv().await {
            say(&mut write, &answer).await?;
        }
        Ok(())
    };
    let mut rest = [0; 1];
    tokio::select! {
        ((), spoken) = async { tokio::join!(work, speak) } => spoken,
        // Whoever asked has gone away; what was stored stands.
        _ = read.read(&mut rest) => Ok(()),
    }
}

async fn say(write: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer).map_err(io::Error::other)?;
    line.push(b'\n');
    write.write_all(&line).await
}
