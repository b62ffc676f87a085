//! The signed on-prem form: what a release froze, as one JSON file that builds embed.
//!
//! The signatures are over the bytes of the file's member `manifest` as they stand there, so nothing
//! depends on how anybody writes JSON. Only carriage returns are left out: where a repository turns
//! line ends on the way into a work tree, it must not turn a good file into a bad one, and in JSON they
//! stand between values only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rollout::{ReleaseName, RouteKey};
use crate::snapshot::{MAX_ROUTES, MAX_SNAPSHOT_BYTES, SnapshotError, read_entry};
use crate::stage::EnvironmentKind;
use crate::table::{InvalidRequirements, Source, Table};

/// The largest manifest that is written or read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = MAX_SNAPSHOT_BYTES + 64 * 1024;
/// The most signatures that a manifest may have.
pub const MAX_SIGNATURES: usize = 16;
const FORMAT: u64 = 1;
const KEY_PREFIX: &str = "ed25519:";

/// What a release froze, checked: the on-prem stages of its environment.
#[derive(Clone, Debug)]
pub struct Manifest {
    head: ManifestHead,
    entries: BTreeMap<RouteKey, Box<RawValue>>,
    table: Arc<Table>,
}

/// What a manifest says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ManifestHead {
    /// The release.
    pub release: ReleaseName,
    /// The environment whose stages it froze.
    pub environment: Box<str>,
    /// Counts how often the release was frozen before it was published.
    pub build: u64,
    /// The release that it comes after.
    #[serde(default)]
    pub after: Option<ReleaseName>,
    /// The release whose stages it keeps.
    #[serde(default)]
    pub based_on: Option<ReleaseName>,
    /// When the stages were frozen, in RFC 3339.
    pub frozen_at: Box<str>,
}

#[derive(Deserialize)]
struct FileWire<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    signatures: Vec<SignatureWire>,
}

#[derive(Deserialize)]
struct SignatureWire {
    key_id: String,
    signature: String,
}

#[derive(Deserialize)]
struct FormatWire {
    format: u64,
}

#[derive(Deserialize)]
struct RoutesWire {
    routes: BTreeMap<RouteKey, Box<RawValue>>,
}

impl Manifest {
    /// Reads a manifest that one of these keys has signed.
    ///
    /// An application does well to call this in a test of its own: what it embeds should be good
    /// before it is shipped.
    ///
    /// # Errors
    /// When no key is given, none of them has signed it, or it is not what it should be.
    pub fn verify(text: &str, keys: &[ManifestKey]) -> Result<Manifest, ManifestError> {
        let (payload, signatures) = open(text)?;
        if keys.is_empty() {
            return Err(ManifestError::NoKey);
        }
        let is_signed = signatures.iter().any(|signed| {
            let signature = STANDARD.decode(&signed.signature);
            signature
                .is_ok_and(|signature| keys.iter().any(|key| key.has_signed(&payload, &signature)))
        });
        if !is_signed {
            return Err(ManifestError::NotSigned {
                signed_by: signatures.into_iter().map(|signed| signed.key_id).collect(),
                pinned: keys.iter().map(ManifestKey::id).collect(),
            });
        }
        Manifest::read(&payload)
    }

    /// Reads a manifest whoever has signed it: to be shown, and never to be decided by.
    ///
    /// # Errors
    /// When it is not what it should be.
    pub fn read_unverified(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::read(&open(text)?.0)
    }

    fn read(payload: &str) -> Result<Manifest, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let FormatWire { format } = serde_json::from_str(payload).map_err(malformed)?;
        if format != FORMAT {
            return Err(ManifestError::UnknownFormat(format));
        }
        let head: ManifestHead = serde_json::from_str(payload).map_err(malformed)?;
        let wire: RoutesWire = serde_json::from_str(payload).map_err(malformed)?;
        if wire.routes.len() > MAX_ROUTES {
            return Err(ManifestError::TooLarge);
        }
        let entries = wire
            .routes
            .iter()
            .map(|(route, entry)| Ok((route.clone(), read_entry(entry.get())?)))
            .collect::<Result<_, SnapshotError>>()
            .map_err(|error| ManifestError::Malformed(error.to_string()))?;
        let table = Table::new(Source::Bundled, EnvironmentKind::OnPrem, entries)
            .map_err(ManifestError::Requirements)?;
        Ok(Manifest {
            head,
            entries: wire.routes,
            table: Arc::new(table),
        })
    }

    /// What it says about itself.
    #[must_use]
    pub fn head(&self) -> &ManifestHead {
        &self.head
    }

    /// The rollouts, to decide by: as on premises, from the source `bundled`.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The routes as JSON, as they stand in the file.
    pub fn entries(&self) -> impl Iterator<Item = (&RouteKey, &str)> {
        self.entries
            .iter()
            .map(|(route, entry)| (route, entry.get()))
    }
}

/// The bytes that are signed, and the signatures.
fn open(text: &str) -> Result<(Cow<'_, str>, Vec<SignatureWire>), ManifestError> {
    if text.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge);
    }
    let file: FileWire<'_> =
        serde_json::from_str(text).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    if file.signatures.len() > MAX_SIGNATURES {
        return Err(ManifestError::TooLarge);
    }
    let payload = file.manifest.get();
    let payload = match payload.contains('\r') {
        true => Cow::Owned(payload.replace('\r', "")),
        false => Cow::Borrowed(payload),
    };
    Ok((payload, file.signatures))
}

/// Writes what is to be signed, from entries that are JSON already: a line per route, so that people
/// and version control can read it.
#[must_use]
pub fn write_payload<'a>(
    head: &ManifestHead,
    entries: impl Iterator<Item = (&'a RouteKey, &'a str)>,
) -> String {
    let name = |name: &Option<ReleaseName>| match name {
        Some(name) => format!("\"{name}\""),
        None => "null".to_owned(),
    };
    let mut text = format!(
        "{{\n\"format\": {FORMAT},\n\"release\": \"{}\",\n\"environment\": \"{}\",\n\"build\": {},\n\
         \"after\": {},\n\"based_on\": {},\n\"frozen_at\": \"{}\",\n\"routes\": {{",
        head.release,
        head.environment,
        head.build,
        name(&head.after),
        name(&head.based_on),
        head.frozen_at
    );
    for (index, (route, entry)) in entries.enumerate() {
        let separator = if index > 0 { "," } else { "" };
        text.push_str(&format!("{separator}\n\"{route}\": {entry}"));
    }
    text.push_str("\n}\n}");
    text
}

/// Writes the file, from what is signed and each key's signature of it.
#[must_use]
pub fn write_manifest(payload: &str, signatures: &[(ManifestKey, Vec<u8>)]) -> String {
    let signatures: Vec<String> = signatures
        .iter()
        .map(|(key, signature)| {
            let (id, signature) = (key.id(), STANDARD.encode(signature));
            format!("{{\"key_id\": \"{id}\", \"signature\": \"{signature}\"}}")
        })
        .collect();
    format!(
        "{{\n\"manifest\": {payload},\n\"signatures\": [\n{}\n]\n}}\n",
        signatures.join(",\n")
    )
}

/// The public half of a key that signs manifests; as text `ed25519:` and 32 bytes in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestKey([u8; 32]);

impl ManifestKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> ManifestKey {
        ManifestKey(bytes)
    }

    /// What a file calls the key: the first 16 digits of its SHA-256 in hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        let hash = digest(&SHA256, &self.0);
        let bytes = hash.as_ref().iter().take(8);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    fn has_signed(&self, payload: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(payload.as_bytes(), signature)
            .is_ok()
    }
}

impl fmt::Display for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ManifestKey {
    type Err = InvalidManifestKey;

    fn from_str(text: &str) -> Result<ManifestKey, InvalidManifestKey> {
        let base64 = text.trim().strip_prefix(KEY_PREFIX);
        let bytes = base64.and_then(|base64| STANDARD.decode(base64).ok());
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(ManifestKey).ok_or(InvalidManifestKey)
    }
}

/// The text is not the public half of a key that signs manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidManifestKey;

impl fmt::Display for InvalidManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a manifest's key is `ed25519:` and 32 bytes in base64, as `switchover release key show` \
             prints it",
        )
    }
}

impl std::error::Error for InvalidManifestKey {}

/// Why a manifest is refused. What was good before stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST_BYTES`], [`MAX_ROUTES`] or [`MAX_SIGNATURES`].
    TooLarge,
    /// Not the JSON it should be: what is wrong with it.
    Malformed(String),
    /// No key is pinned, so nothing can be believed.
    NoKey,
    /// None of the pinned keys has signed these bytes: they were changed, or signed by somebody else.
    NotSigned {
        /// The identities of the keys that the file says have signed it.
        signed_by: Vec<String>,
        /// Those of the pinned ones.
        pinned: Vec<String>,
    },
    /// Signed, but of a form that this version does not know.
    UnknownFormat(u64),
    /// Of another environment than the one that this process is in, as the server or the cache says.
    Foreign {
        /// The manifest's.
        manifest: String,
        /// This process's.
        own: String,
    },
    /// Requirements that cannot be decided.
    Requirements(InvalidRequirements),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::TooLarge => write!(
                f,
                "over the limit of {MAX_MANIFEST_BYTES} bytes, {MAX_ROUTES} routes or \
                 {MAX_SIGNATURES} signatures"
            ),
            ManifestError::Malformed(error) => write!(f, "malformed: {error}"),
            ManifestError::NoKey => {
                f.write_str("no key is pinned to check the manifest's signature with")
            }
            ManifestError::NotSigned { signed_by, pinned } => write!(
                f,
                "not signed by a pinned key, or changed since: it names {}, and pinned is {}",
                listed(signed_by),
                listed(pinned)
            ),
            ManifestError::UnknownFormat(format) => write!(
                f,
                "of format {format}, which this version does not know: use a newer SDK"
            ),
            ManifestError::Foreign { manifest, own } => write!(
                f,
                "of environment `{manifest}`, but this process is in `{own}`"
            ),
            ManifestError::Requirements(error) => write!(f, "invalid requirements: {error}"),
        }
    }
}

impl std::error::Error for ManifestError {}

/// Names that may come from anybody, for a log line.
fn listed(names: &[String]) -> String {
    let short = |name: &String| name.chars().take(64).collect::<String>();
    let names: Vec<String> = names.iter().map(short).collect();
    match names.is_empty() {
        true => "no key".to_owned(),
        false => names.join(", ").escape_debug().to_string(),
    }
}
