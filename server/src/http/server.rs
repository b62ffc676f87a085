//! Starting and stopping: connections, threads, signals.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(any(target_os = "linux", target_os = "android"))]
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::middleware::{Condition, from_fn};
#[cfg(any(target_os = "linux", target_os = "android"))]
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, HttpServer};
use tokio::sync::watch;
use utoipa_swagger_ui::SwaggerUi;

use crate::conductor::Conductor;
use crate::courier::{Courier, Delivering};
use crate::http::error::Problem;
use crate::http::front::{Front, under_prefix};
use crate::http::health::Contact;
use crate::http::ofrep::{Listeners, cors};
use crate::http::watching::Watch;
use crate::http::{
    App, health, log, metrics, openapi, serve_api, serve_ofrep, serve_root, streams,
};
use crate::service::{Reception, Services};
use crate::telemetry::Ingest;
use crate::token::TokenKeys;
use crate::web::{frame, serve as pages};

/// How long a stop waits for requests that are being answered.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How often a node looks at guards and ramps.
pub const CONDUCT_EVERY: Duration = Duration::from_secs(1);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen, such as `127.0.0.1:7070`; port 0 takes a free one.
    pub listen: String,
    /// Whether to stop on SIGTERM and SIGINT.
    pub signals: bool,
    /// How long a connection may leave what was sent to it unread: [`UNREAD`](super::UNREAD).
    pub unread: Duration,
    /// How often this node looks at guards and ramps, if it does: [`CONDUCT_EVERY`].
    pub conduct_every: Option<Duration>,
    /// How clients reach it.
    pub front: Front,
}

/// A server to be started.
pub struct Server {
    config: ServerConfig,
    services: Arc<Services>,
    keys: Arc<TokenKeys>,
    delivering: Option<Delivering>,
}

/// A server that serves.
pub struct Running {
    address: SocketAddr,
    services: Arc<Services>,
    keys: Arc<TokenKeys>,
    stop: tokio::sync::mpsc::UnboundedSender<()>,
    serving: Option<JoinHandle<io::Result<()>>>,
    watching: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
    ingest: Arc<Ingest>,
    writing: Option<JoinHandle<()>>,
    reception: Arc<Reception>,
    receiving: Option<JoinHandle<()>>,
    conducting: Option<JoinHandle<()>>,
    renewing: Option<JoinHandle<()>>,
    delivering: Option<JoinHandle<()>>,
}

impl Server {
    /// A server over these services.
    #[must_use]
    pub fn new(config: ServerConfig, services: Arc<Services>, keys: Arc<TokenKeys>) -> Server {
        Server {
            config,
            services,
            keys,
            delivering: None,
        }
    }

    /// The same, which brings messages to webhooks.
    #[must_use]
    pub fn delivering(self, delivering: Delivering) -> Server {
        Server {
            delivering: Some(delivering),
            ..self
        }
    }

    /// Starts serving; returns when connections are accepted.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(self) -> io::Result<Running> {
        let listener = TcpListener::bind(&self.config.listen)?;
        let address = listener.local_addr()?;
        let contact = Arc::new(Contact::now());
        let (stopping, stopping_seen) = watch::channel(false);
        let services = &self.services;
        if let Err(error) = services.telemetry().open() {
            // Flags are served without it, and each use tries again.
            tracing::error!(%error, "what callers report cannot be kept");
        }
        let (ingest, writer) = Ingest::new(Arc::clone(services.telemetry()), services.clock());
        let ingest = Arc::new(ingest);
        let (reception, receptionist) = Reception::new(Arc::clone(services));
        let reception = Arc::new(reception);
        let app = Arc::new(App {
            services: Arc::clone(&self.services),
            keys: Arc::clone(&self.keys),
            front: self.config.front.clone(),
            stopping: stopping_seen,
            contact: Arc::clone(&contact),
            streams: Arc::new(AtomicUsize::new(0)),
            pages: Arc::new(AtomicUsize::new(0)),
            listeners: Listeners::default(),
            requests: Arc::new(AtomicUsize::new(0)),
            ingest: Arc::clone(&ingest),
            reception: Arc::clone(&reception),
        });
        let receiving = thread::Builder::new()
            .name("switchover-writers".to_owned())
            .spawn(move || receptionist.run())?;
        let writing = thread::Builder::new()
            .name("switchover-telemetry".to_owned())
            .spawn(move || writer.run())?;
        let (stop, stop_asked) = tokio::sync::mpsc::unbounded_channel();
        let (started, start_seen) = mpsc::channel();
        let config = self.config;
        let conduct_every = config.conduct_every;
        let certificates = config.front.tls.clone();
        let serving = thread::Builder::new()
            .name("switchover-http".to_owned())
            .spawn(move || {
                actix_web::rt::System::new()
                    .block_on(serve(listener, app, stopping, stop_asked, config, started))
            })?;
        if start_seen.recv().is_err() {
            return match serving.join() {
                Ok(Err(error)) => Err(error),
                _ => Err(io::Error::other("the server did not start")),
            };
        }
        let watching = Arc::new(AtomicBool::new(true));
        let watch = {
            let (services, watching) = (Arc::clone(&self.services), Arc::clone(&watching));
            let keys = Arc::clone(&self.keys);
            thread::Builder::new()
                .name("switchover-watch".to_owned())
                .spawn(move || Watch::new(services, keys, contact).run(&watching))?
        };
        let conducting = match conduct_every {
            None => None,
            Some(interval) => {
                let (services, running) = (Arc::clone(&self.services), Arc::clone(&watching));
                let conductor = thread::Builder::new()
                    .name("switchover-conductor".to_owned())
                    .spawn(move || Conductor::new(services).run(interval, &running))?;
                Some(conductor)
            }
        };
        let renewing = match certificates {
            None => None,
            Some(certificates) => {
                let running = Arc::clone(&watching);
                let renewing = thread::Builder::new()
                    .name("switchover-certificate".to_owned())
                    .spawn(move || certificates.keep_current(&running))?;
                Some(renewing)
            }
        };
        let delivering = match self.delivering {
            None => None,
            Some(delivering) => {
                let (services, running) = (Arc::clone(&self.services), Arc::clone(&watching));
                let courier = thread::Builder::new()
                    .name("switchover-courier".to_owned())
                    .spawn(move || Courier::new(services, delivering).run(&running))?;
                Some(courier)
            }
        };
        Ok(Running {
            address,
            services: self.services,
            keys: self.keys,
            stop,
            serving: Some(serving),
            watching,
            watch: Some(watch),
            ingest,
            writing: Some(writing),
            reception,
            receiving: Some(receiving),
            conducting,
            renewing,
            delivering,
        })
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The services it serves.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Waits until a signal has stopped it.
    ///
    /// # Errors
    /// When serving failed.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    /// Stops it: not ready, streams ended spread over a few seconds, requests finished.
    ///
    /// # Errors
    /// When serving failed.
    pub fn stop(mut self) -> io::Result<()> {
        // Nobody listens any more when it has stopped already.
        let _ = self.stop.send(());
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        let served = match self.serving.take().map(JoinHandle::join) {
            Some(Ok(served)) => served,
            Some(Err(_)) => Err(io::Error::other("the server's thread broke")),
            None => Ok(()),
        };
        self.watching.store(false, Ordering::Relaxed);
        self.ingest.stop();
        if let Some(writing) = self.writing.take() {
            // What a writer that broke had not written, its senders send again.
            let _ = writing.join();
        }
        self.reception.stop();
        if let Some(receiving) = self.receiving.take() {
            // What was not taken, its senders send again.
            let _ = receiving.join();
        }
        if let Some(conducting) = self.conducting.take() {
            // What a conductor that broke has not done, another node does.
            let _ = conducting.join();
        }
        if let Some(renewing) = self.renewing.take() {
            // Nobody is shown a certificate any more.
            let _ = renewing.join();
        }
        if let Some(delivering) = self.delivering.take() {
            // What a courier that broke has not brought, another node brings.
            let _ = delivering.join();
        }
        if let Some(watch) = self.watch.take() {
            // A watch that broke has nothing more to finish.
            let _ = watch.join();
            if let Err(error) = self.services.checkpoint_at_stop(&self.keys) {
                tracing::warn!(%error, "the end of the record is not signed");
            }
        }
        served
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        self.watching.store(false, Ordering::Relaxed);
        self.ingest.stop();
        self.reception.stop();
    }
}

async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stopping: watch::Sender<bool>,
    mut stop_asked: tokio::sync::mpsc::UnboundedReceiver<()>,
    config: ServerConfig,
    started: mpsc::Sender<()>,
) -> io::Result<()> {
    let shared = Arc::clone(&app);
    let (signals, unread) = (config.signals, config.unread);
    let has_prefix = !config.front.prefix.is_empty();
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(Data::new(Arc::clone(&shared)))
            .wrap(from_fn(metrics::count))
            .wrap(Condition::new(has_prefix, from_fn(under_prefix)))
            // Before the others: what is asked for most is found first.
            .service(
                web::scope("/ofrep/v1")
                    .wrap(from_fn(cors))
                    .configure(serve_ofrep),
            )
            .configure(serve_root)
            // Some load balancers ask by HEAD.
            .route("/healthz", web::head().to(health::alive))
            .route("/readyz", web::head().to(health::ready))
            .service(
                web::scope("/api/v1")
                    .wrap(actix_web::middleware::Compress::default())
                    .wrap(from_fn(log::requests))
                    .configure(serve_api),
            )
            .service(web::redirect("/api/docs", "/api/docs/"))
            .service(web::resource("/api/openapi.json").get(described))
            .service(
                SwaggerUi::new("/api/docs/{_:.*}")
                    .config(utoipa_swagger_ui::Config::from("../openapi.json")),
            )
            // The last one: what is nowhere else is asked for here.
            .service(
                web::scope("")
                    .wrap(from_fn(frame))
                    .wrap(actix_web::middleware::Compress::default())
                    .wrap(from_fn(log::requests))
                    .configure(pages),
            )
            .default_service(web::to(|request: HttpRequest| async move {
                Err::<HttpResponse, Problem>(nothing_here(&request))
            }))
    })
    .on_connect(move |connection, _| let_go_when_unread(connection, unread))
    // An answer's head and a stream's first event are two writes: the second must not wait.
    .tcp_nodelay(true)
    // Readers wait here for a connection; a change must not wait behind them.
    .worker_max_blocking_threads(64)
    .shutdown_timeout(STOP_DEADLINE.as_secs())
    .disable_signals();
    let server = match &config.front.tls {
        None => server.listen(listener)?,
        Some(certificates) => server.listen_rustls_0_23(listener, certificates.config()?)?,
    }
    .run();
    let handle = server.handle();
    let ending = actix_web::rt::spawn(async move {
        tokio::select! {
            _ = stop_asked.recv() => {}
            () = signal(), if signals => {}
        }
        end(&app, &stopping, &handle, signals).await;
    });
    // The receiver is gone only when whoever started the server is.
    let _ = started.send(());
    let served = server.await;
    ending.abort();
    served
}

async fn end(app: &App, stopping: &watch::Sender<bool>, handle: &ServerHandle, signals: bool) {
    tracing::info!("stopping: streams end first, then requests are finished");
    stopping.send_replace(true);
    let drained = async {
        let started = Instant::now();
        while app.streams.load(Ordering::Relaxed) > 0 && started.elapsed() < streams::DRAIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if app.streams.load(Ordering::Relaxed) == 0 {
            return handle.stop(true).await;
        }
        // Readers that do not read: to wait for their connections would be to wait for nothing.
        while app.requests.load(Ordering::Relaxed) > 0 && started.elapsed() < STOP_DEADLINE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The last answers are on their way.
        tokio::time::sleep(Duration::from_millis(200)).await;
        handle.stop(false).await;
    };
    tokio::select! {
        () = drained => {}
        () = signal(), if signals => handle.stop(false).await,
    }
}

/// Whoever stops reading would hold a stream's state for ever: a stream that waits for room is asked
/// nothing, so it can neither beat nor end. The kernel resets a connection whose peer has kept its
/// window closed, or acknowledged nothing, for this long; a peer that reads, however slowly, begins
/// the time anew. Where the kernel cannot, the operating system's own patience holds.
fn let_go_when_unread(connection: &dyn Any, unread: Duration) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(stream) = tcp_of(connection)
        && let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(unread))
    {
        tracing::debug!(%error, "a connection has no deadline for its reader");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (connection, unread);
}

/// The connection below what is spoken over it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn tcp_of(connection: &dyn Any) -> Option<&TcpStream> {
    let plain = connection.downcast_ref::<TcpStream>();
    plain.or_else(|| {
        let secured = connection.downcast_ref::<TlsStream<TcpStream>>()?;
        Some(secured.get_ref().0)
    })
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// The description of the API, which says where it stands when that is not at the root.
async fn described(app: Data<Arc<App>>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type("application/json");
    match &app.front.prefix {
        none if none.is_empty() => response.body(openapi::CHECKED_IN),
        prefix => {
            let servers = format!("{{\"servers\": [{{\"url\": \"{prefix}\"}}],");
            response.body(openapi::CHECKED_IN.replacen('{', &servers, 1))
        }
    }
}

/// 405 where the address exists for other methods, else 404.
fn nothing_here(request: &HttpRequest) -> Problem {
    let path = request.path();
    let allowed = openapi::methods()
        .iter()
        .find(|(template, _)| matches(template, path))
        .map(|(_, methods)| methods);
    match allowed {
        Some(allow) if !allow.split(", ").any(|known| *request.method() == *known) => {
            Problem::method_not_allowed(
                format!("{} is not for {path}; use {allow}", shown(request.method())),
                allow.clone(),
            )
        }
        _ => Problem::not_found("there is nothing at this address; /api/docs lists what there is"),
    }
}

fn shown(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "this method",
    }
}

fn matches(template: &str, path: &str) -> bool {
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}
