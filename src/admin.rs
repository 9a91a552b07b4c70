//! Where the operator looks: the page, and for machines alive, ready, metrics. Read-only; on the loopback by default; never the
//! inbox's address.

mod guard;
mod metrics;
mod ready;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};

use crate::{page, programme::InForce, walks::Walks};

/// Everything that the operator and their machines may look at, of whichever programme is in force.
pub fn router(in_force: InForce, walks: Arc<Walks>) -> Router {
    let listen = in_force.now().settings.admin.listen;
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready::page))
        .with_state((in_force.clone(), Arc::clone(&walks)))
        .route("/metrics", get(metrics::page))
        .with_state(in_force.clone())
        .merge(page::router(in_force, walks))
        .layer(middleware::from_fn_with_state(listen, guard::guard))
}
