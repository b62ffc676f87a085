//! An SDK key made without a server, straight in the database. The server that runs on it, now or
//! later, learns of it within a second.

use serde_json::json;

use crate::cli::error::{CliError, why};
use crate::cli::session::local_admin;
use crate::config::Config;
use crate::service::{Ctx, NewSdkKeyRequest, Services, system_clock};
use crate::store::{Receipt, Store, StoreError};

/// Makes a key; gives what the server would have answered.
pub(super) fn create(config: &Config, request: &NewSdkKeyRequest) -> Result<String, CliError> {
    let database = &config.database;
    let opened =
        |error: StoreError| CliError::new(format!("cannot use {database}: {}", why(&error)));
    let store = Store::open(database.clone()).map_err(opened)?;
    let services = Services::start(store, system_clock()).map_err(opened)?;
    let ctx = Ctx::of(local_admin(config));
    let (answer, secret) = services
        .create_sdk_key(&ctx, request, &|key| Receipt {
            status: 201,
            etag: None,
            body: json!({
                "id": key.id,
                "environment": key.environment,
                "kind": key.kind,
                "name": key.name,
                "created_by": key.created_by,
                "created_at": key.created_at,
                "revoked_at": key.revoked_at,
            })
            .to_string(),
        })
        .map_err(|failure| CliError::new(failure.to_string()))?;
    let mut made: serde_json::Value = serde_json::from_str(&answer.receipt.body)
        .map_err(|error| CliError::new(error.to_string()))?;
    if let Some(object) = made.as_object_mut() {
        object.insert("key".to_owned(), json!(secret));
    }
    Ok(made.to_string())
}
