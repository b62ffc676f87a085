//! The limits: the least that a server on the same framework can do.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use tokio::sync::watch;

/// Answers every request with the same short JSON.
pub(crate) fn hello() {
    serve(|listener| {
        HttpServer::new(|| {
            App::new().route(
                "/",
                web::get().to(|| async {
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body(r#"{"message":"hello"}"#)
                }),
            )
        })
        .workers(2)
        .listen(listener)
        .unwrap()
        .run()
    });
}

/// Streams: one event of 300 bytes to everybody for each POST.
pub(crate) fn bare() {
    let (send, _) = watch::channel(0_u64);
    let send = Arc::new(send);
    serve(move |listener| {
        HttpServer::new(move || {
            App::new()
                .app_data(Data::from(Arc::clone(&send)))
                .route("/stream", web::get().to(stream))
                .route(
                    "/fire",
                    web::post().to(|send: Data<watch::Sender<u64>>| async move {
                        send.send_modify(|count| *count += 1);
                        HttpResponse::Ok().finish()
                    }),
                )
        })
        .workers(2)
        .listen(listener)
        .unwrap()
        .run()
    });
}

async fn stream(send: Data<watch::Sender<u64>>) -> HttpResponse {
    let mut receive = send.subscribe();
    let padding = "x".repeat(260);
    let events = async_stream::stream! {
        yield Ok::<_, std::convert::Infallible>(Bytes::from_static(b":\n\n"));
        while receive.changed().await.is_ok() {
            let count = *receive.borrow_and_update();
            yield Ok(Bytes::from(format!("event: delta\nid: {count}\ndata: {padding}\n\n")));
        }
    };
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(events)
}

fn serve(start: impl FnOnce(std::net::TcpListener) -> actix_web::dev::Server) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    actix_web::rt::System::new().block_on(async move {
        let server = start(listener);
        let handle = server.handle();
        // Ends with the process that started it.
        actix_web::rt::spawn(async move {
            let parent = std::os::unix::process::parent_id();
            while std::os::unix::process::parent_id() == parent {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            handle.stop(false).await;
        });
        server.await.unwrap();
    });
}
