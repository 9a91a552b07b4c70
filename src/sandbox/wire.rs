//! Serves HTTP/1.1 on a socket, with the power to cut a connection, to cut an answer short and to let it drip.
//!
//! It sits directly on hyper, because a framework above it always finds an answer to send, and here sometimes none may come.
//! It knows no route and no system.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, Method, Response, header},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Endpoint, locked};
use crate::clock::Clock;

/// A request as it came over the wire.
#[derive(Clone)]
pub struct Asked {
    /// What it is about.
    pub endpoint: Endpoint,
    /// GET, POST, …
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The decoded query, in its order.
    pub query: Vec<(String, String)>,
    /// Whether the query was properly encoded.
    pub well_encoded: bool,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Asked {
    /// The body as JSON, if it is.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A header that is plain text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The last value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a request.
pub(super) async fn read(
    request: hyper::Request<Incoming>,
    endpoint: fn(&Method, &str, &[(String, String)]) -> Endpoint,
) -> Result<Asked, Cut> {
    const LONGEST_BODY: usize = 50 * 1024 * 1024;
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), LONGEST_BODY).await.map_err(|_| Cut)?;
    let (query, well_encoded) = pairs(head.uri.query().unwrap_or_default());
    let path = head.uri.path().to_owned();
    let endpoint = endpoint(&head.method, &path, &query);
    Ok(Asked { endpoint, method: head.method, path, query, well_encoded, headers: head.headers, body })
}

/// The parameters of a query, and whether all of them were properly encoded.
fn pairs(query: &str) -> (Vec<(String, String)>, bool) {
    let mut well_encoded = true;
    let mut decode = |text: &str| {
        let decoded = decoded(text);
        well_encoded &= decoded.is_some();
        decoded.unwrap_or_default()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    });
    (pairs.collect(), well_encoded)
}

/// A plus is a space, `%41` an `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.extend(hex::decode(tail.get(..2)?).ok()?);
                rest = &tail[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// An answer on its way out.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) ends: Ending,
}

/// How the body of an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Whole.
    Whole,
    /// Half of it, then the connection is cut.
    Cut,
    /// Half of it, and then nothing more.
    Stalled,
    /// JSON of so many bytes in its place, in pieces and without its length said before.
    Long(usize),
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = (!content_type.is_empty()).then(|| content_type.to_owned());
        Self { status, content_type, headers: Vec::new(), body: body.into(), ends: Ending::Whole }
    }

    pub(super) fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    /// With this header in place of those of the same name.
    pub(super) fn with_only(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != header);
        self.with(header, value)
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        if let Some(content_type) = &self.content_type {
            response = response.header(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let body = match self.ends {
            Ending::Whole => Body::from(self.body),
            Ending::Cut | Ending::Stalled => {
                response = response.header(header::CONTENT_LENGTH, self.body.len().max(2));
                let half = self.body.slice(..self.body.len() / 2);
                Body::new(Half { first: Some(half), flushed: false, stalls: self.ends == Ending::Stalled })
            }
            Ending::Long(bytes) => Body::new(Long::of(bytes)),
        };
        response.body(body).unwrap_or_default()
    }
}

/// The connection ends here, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulator cut the connection")]
pub(super) struct Cut;

/// What a handler may do with, and know of, the connection a request came over.
#[derive(Clone, Default)]
pub(super) struct Connection {
    pub(super) pace: Pace,
    pub(super) peer_certificate: Option<CertificateDer<'static>>,
}

/// How fast an answer goes out: as it is, or byte by byte.
#[derive(Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Option<(Clock, Duration)>>>);

impl Pace {
    /// From now on every byte waits for `every`.
    pub(super) fn drip(&self, clock: &Clock, every: Duration) {
        *locked(&self.0) = Some((clock.clone(), every));
    }
}

/// Whoever answers requests.
pub(super) trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        &self,
        request: hyper::Request<Incoming>,
        connection: Connection,
    ) -> impl Future<Output = Result<Reply, Cut>> + Send;
}

/// Where the TLS settings of the next handshake come from; `None` for plain HTTP.
pub(super) type TlsSource = Option<Arc<Mutex<Arc<ServerConfig>>>>;

/// A listening socket and all connections made through it. Dropping it ends them.
pub(super) struct Door<H: Handler> {
    address: SocketAddr,
    handler: H,
    tls: TlsSource,
    listening: Mutex<Option<(CancellationToken, tokio::task::JoinHandle<()>)>>,
    /// Keeps the address while nobody listens, so that no other process gets it meanwhile.
    reserved: Mutex<Option<TcpSocket>>,
    connections: Connections,
}

/// The connections made since the last time all were cut.
type Connections = Arc<Mutex<Generation>>;

#[derive(Clone, Default)]
struct Generation {
    end: CancellationToken,
    tasks: TaskTracker,
}

impl<H: Handler> Door<H> {
    /// Begins to listen.
    pub(super) fn open(listener: TcpListener, tls: TlsSource, handler: H) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (listening, reserved, connections) = (Mutex::default(), Mutex::default(), Connections::default());
        let door = Self { address, handler, tls, listening, reserved, connections };
        door.listen(listener);
        Ok(door)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the socket and cuts every connection: from now on connections are refused. Returns when the socket is closed.
    pub(super) async fn shut(&self) {
        self.refuse().await;
        self.cut_connections().await;
    }

    /// Closes the socket; what was connected before goes on. Returns when the socket is closed.
    pub(super) async fn refuse(&self) {
        let listening = locked(&self.listening).take();
        if let Some((stop, task)) = listening {
            stop.cancel();
            // The task has no way to panic; and if it had, the socket would be closed all the same.
            let _ = task.await;
            // Whoever gets to the port first has it; then opening again says so.
            *locked(&self.reserved) = self.bound().ok();
        }
    }

    /// Listens again on the same address.
    pub(super) async fn reopen(&self) -> io::Result<()> {
        self.shut().await;
        let reserved = locked(&self.reserved).take();
        let socket = reserved.map_or_else(|| self.bound(), Ok)?;
        self.listen(socket.listen(1024)?);
        Ok(())
    }

    /// A socket that has the address and does not listen: connections are refused.
    fn bound(&self) -> io::Result<TcpSocket> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        Ok(socket)
    }

    /// Cuts every connection and returns when all are gone; new ones are welcome.
    pub(super) async fn cut_connections(&self) {
        let generation = std::mem::take(&mut *locked(&self.connections));
        generation.end.cancel();
        generation.tasks.close();
        generation.tasks.wait().await;
    }

    fn listen(&self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let (tls, handler, connections) = (self.tls.clone(), self.handler.clone(), self.connections.clone());
        let accepting = stop.clone();
        let task = tokio::spawn(async move {
            let _ = accepting.run_until_cancelled(accept(listener, tls, handler, connections)).await;
        });
        *locked(&self.listening) = Some((stop, task));
    }
}

impl<H: Handler> Drop for Door<H> {
    fn drop(&mut self) {
        if let Some((stop, _)) = locked(&self.listening).take() {
            stop.cancel();
        }
        locked(&self.connections).end.cancel();
    }
}

async fn accept<H: Handler>(listener: TcpListener, tls: TlsSource, handler: H, connections: Connections) {
    loop {
        // An error here is about one connection that is gone already, or about file descriptors that will come free.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        // Answers are written in one piece, so waiting for more of them only costs time.
        let _ = stream.set_nodelay(true);
        let generation = locked(&connections).clone();
        let config = tls.as_ref().map(|config| locked(config).clone());
        let handler = handler.clone();
        let end = generation.end;
        generation.tasks.spawn(async move { end.run_until_cancelled(serve(stream, config, handler)).await });
    }
}

async fn serve<H: Handler>(stream: TcpStream, tls: Option<Arc<ServerConfig>>, handler: H) {
    let Some(config) = tls else {
        return converse(stream, Connection::default(), handler).await;
    };
    match TlsAcceptor::from(config).accept(stream).into_fallible().await {
        Ok(stream) => {
            let peer_certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
            let peer_certificate = peer_certificate.map(CertificateDer::into_owned);
            converse(stream, Connection { peer_certificate, ..Connection::default() }, handler).await;
        }
        Err((_, mut stream)) => {
            // Why it failed is on its way to the peer, who may write meanwhile. A connection that is torn down with something
            // unread in it takes that word back; so the rest is read until the peer has gone.
            let _ = stream.shutdown().await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }
}

async fn converse<S, H>(stream: S, connection: Connection, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let stream = Paced { stream, pace: connection.pace.clone(), pause: None };
    let service = service_fn(move |request| {
        let (handler, connection) = (handler.clone(), connection.clone());
        async move { handler.handle(request, connection).await.map(Reply::into_response) }
    });
    // How a conversation ends is the peer's to notice.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The first half of a body; then nothing more, or an error, which makes the server cut the connection.
struct Half {
    first: Option<Bytes>,
    flushed: bool,
    stalls: bool,
}

impl HttpBody for Half {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if !self.flushed {
            // Being pending once lets the head and the first half go out before the connection ends.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.stalls { Poll::Pending } else { Poll::Ready(Some(Err(Cut))) }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A JSON text that is made while it is sent, however long it is.
struct Long {
    pieces: [Bytes; 3],
    piece: usize,
    left: usize,
}

impl Long {
    fn of(bytes: usize) -> Self {
        static FILLING: [u8; 64 << 10] = [b'x'; 64 << 10];
        let pieces = [br#"{"data":""#.as_slice(), &FILLING, br#""}"#].map(Bytes::from_static);
        Self { pieces, piece: 0, left: bytes }
    }
}

impl HttpBody for Long {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.piece == 1 && self.left == 0 {
            self.piece = 2;
        }
        let Some(piece) = self.pieces.get(self.piece).cloned() else { return Poll::Ready(None) };
        if self.piece == 1 {
            let sent = piece.len().min(self.left);
            self.left -= sent;
            return Poll::Ready(Some(Ok(Frame::data(piece.slice(..sent)))));
        }
        self.piece += 1;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A stream whose writes may be slowed down to single bytes.
struct Paced<S> {
    stream: S,
    pace: Pace,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some((clock, every)) = locked(&self.pace.0).clone() else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        let pause = self.pause.get_or_insert_with(|| {
            let until = clock.monotonic() + every;
            Box::pin(async move { clock.sleep_until(until).await })
        });
        ready!(pause.as_mut().poll(context));
        self.pause = None;
        Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
