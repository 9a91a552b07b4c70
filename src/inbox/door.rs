//! The door of a listener: how many may stand in it, how long a head may take, TLS or not, and when it closes.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::places::{Place, Places};

/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a stranger may take for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long one over whose connection a right key has come may take: his connection is there for the next post, so that none meets
/// a connection that is just being closed.
const KNOWN_HEAD_TIME: Duration = Duration::from_secs(300);
/// How much of a connection is held in memory at a time; a head that is longer is refused with 431.
const MOST_BUFFERED: usize = 32 * 1024;
/// How long requests under way may take after we have stopped accepting.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long nobody is let in after the system could not open a connection.
const OUT_OF_BREATH: Duration = Duration::from_millis(50);

/// The TLS of a door. It may be exchanged while the door is open; a connection keeps that with which it began.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Mutex<Arc<ServerConfig>>>);

impl Tls {
    /// With this to begin with.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(config))))
    }

    /// From now on with this.
    pub fn exchange(&self, config: ServerConfig) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

/// Serves `router` on a listener until told to stop; then answers what is under way and returns.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    places: Arc<Places>,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut inside = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = inside.join_next(), if !inside.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    let _ = timeout(OUT_OF_BREATH, stop.cancelled()).await;
                    continue;
                }
            },
        };
        // One for which there is no place is closed at once.
        let Some(place) = places.take(peer) else { continue };
        let (tls, router, stop) = (tls.as_ref().map(Tls::acceptor), router.clone(), stop.clone());
        let inbox = Arc::clone(&places);
        inside.spawn(async move {
            let knows = move || inbox.knows(peer);
            let stream = Placed::new(stream, place);
            let Some(tls) = tls else { return answer(stream, peer, knows, router, stop).await };
            let handshake = stop.run_until_cancelled(timeout(HANDSHAKE_TIME, tls.accept(stream)));
            if let Some(Ok(Ok(stream))) = handshake.await {
                answer(stream, peer, knows, router, stop).await;
            }
        });
    }
    // Whoever knocks now is refused, in place of waiting for nobody.
    drop(listener);
    // Who takes longer is broken off.
    let _ = timeout(LAST_ANSWERS, async { while inside.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Answers what comes over one connection, one request after the other; after `stop` only the one that is under way.
/// What goes wrong is the affair of whoever asks: there is nobody here to tell.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    knows: impl Fn() -> bool + Clone,
    router: Router,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    // Whether the head of a stranger's request is waited for.
    let (waiting, patience) = watch::channel(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        waiting.send_replace(false);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answer, waiting, knows) = (router.call(request), waiting.clone(), knows.clone());
        async move {
            let answer = answer.await;
            waiting.send_replace(!knows());
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(KNOWN_HEAD_TIME).max_buf_size(MOST_BUFFERED);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = out_of_patience(patience) => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Ends when the head of a stranger's request has taken too long.
async fn out_of_patience(mut waiting: watch::Receiver<bool>) {
    loop {
        let waits = *waiting.borrow_and_update();
        // Whatever changes, the time begins anew.
        let changed = match waits {
            true => timeout(HEAD_TIME, waiting.changed()).await,
            false => Ok(waiting.changed().await),
        };
        if !matches!(changed, Ok(Ok(()))) {
            return;
        }
    }
}

/// A connection that gives its place back when it ends, and breaks off when somebody else needs the place.
struct Placed {
    stream: TcpStream,
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place,
}

impl Placed {
    fn new(stream: TcpStream, place: Place) -> Self {
        // Answers are small, and each is whole when it is written; without it the last bytes would wait for company.
        let _ = stream.set_nodelay(true);
        Self { stream, leave: Box::pin(place.leave.clone().cancelled_owned()), _place: place }
    }

    fn poll_leave(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.leave.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_leave(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_leave(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
