//! The data routes of one process, and the threads that look after them.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use crate::attendant;
use crate::bell::Bell;
use crate::contact::Contact;
use crate::engine::Engine;
use crate::keeper::{Around, Keeper, Opened};
use crate::mender;
use crate::rollout::RouteKey;
use crate::settings::Settings;
use crate::spool::{LeftOver, Place, Spool};
use crate::state::State;
use crate::writers::Unverified;

pub(crate) struct DataRoutes {
    routes: RwLock<Vec<Arc<Keeper>>>,
    around: Arc<Around>,
    /// Held while a route is begun.
    beginning: Mutex<()>,
    attendant: Mutex<Option<attendant::Thread>>,
    has_mender: Mutex<bool>,
}

impl DataRoutes {
    pub(crate) fn new(has_server: bool) -> DataRoutes {
        DataRoutes {
            routes: RwLock::default(),
            around: Arc::new(Around {
                contact: Contact::new(has_server),
                has_server,
                attendant: Bell::default(),
                mender: Bell::default(),
            }),
            beginning: Mutex::default(),
            attendant: Mutex::default(),
            has_mender: Mutex::default(),
        }
    }

    pub(crate) fn around(&self) -> &Arc<Around> {
        &self.around
    }

    pub(crate) fn find(&self, route: &str) -> Option<Arc<Keeper>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let found = routes.iter().find(|keeper| keeper.slot().key() == route);
        found.cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Keeper>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.clone()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.is_empty()
    }

    /// The right to begin a route.
    pub(crate) fn beginning(&self) -> MutexGuard<'_, ()> {
        lock(&self.beginning)
    }

    /// Only under the engine's writer lock.
    pub(crate) fn add(&self, keeper: Arc<Keeper>) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.push(keeper);
    }

    /// Has all decide by this state from now on.
    pub(crate) fn apply(&self, state: &Arc<State>) {
        for keeper in self.all() {
            keeper.apply(state);
        }
    }

    /// Starts what does not run yet of the threads that are wanted.
    pub(crate) fn start(&self, engine: &Arc<Engine>) -> std::io::Result<()> {
        let mut has_mender = lock(&self.has_mender);
        if !*has_mender {
            mender::start(Arc::clone(engine), Arc::clone(&self.around))?;
            *has_mender = true;
        }
        let mut attendant = lock(&self.attendant);
        if attendant.is_none()
            && let Some(server) = &engine.settings().server
        {
            let around = Arc::clone(&self.around);
            *attendant = Some(attendant::start(Arc::clone(engine), server, around)?);
        }
        drop(attendant);
        self.around.attendant.ring();
        Ok(())
    }

    /// From now on nothing is copied that begins. What has begun may go on until it is done.
    pub(crate) fn begin_to_end(&self) {
        self.around.contact.close();
    }

    /// Has the server told, and the threads end.
    pub(crate) fn end(&self, until: Instant) {
        self.around.mender.end();
        self.around.attendant.end();
        if let Some(attendant) = lock(&self.attendant).take() {
            attendant.wait(until);
        }
    }
}

/// Opens a route's spool, and takes over what processes have left that are gone.
pub(crate) fn open_spool(settings: &Settings, route: &RouteKey, instance: &str) -> Opened {
    let Some(directory) = spool_directory(settings) else {
        tracing::warn!(
            %route,
            "there is no directory for a spool: a crash leaves nobody to know which writes were copied"
        );
        return without_spool();
    };
    let prefix = match &settings.cache_name {
        None => route.to_string(),
        Some(name) => format!("{name}.{route}"),
    };
    let place = Place {
        directory,
        prefix,
        instance: instance.to_owned(),
    };
    let opened = Spool::create(&place).and_then(|mut spool| {
        let left_over = spool.adopt()?;
        Ok(Opened {
            spool: Some(spool),
            left_over,
        })
    });
    opened.unwrap_or_else(|error| {
        tracing::warn!(%route, %error, "the spool cannot be used");
        without_spool()
    })
}

fn without_spool() -> Opened {
    Opened {
        spool: None,
        left_over: LeftOver {
            unverified: Some(Unverified::NoSpool),
            ..LeftOver::default()
        },
    }
}

fn spool_directory(settings: &Settings) -> Option<PathBuf> {
    let cache = settings.cache_directory.as_ref();
    let beside_cache = cache.map(|directory| directory.join("spool"));
    settings.spool_directory.clone().or(beside_cache)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for DataRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.all();
        let keys = routes.iter().map(|keeper| keeper.slot().key());
        f.debug_list().entries(keys).finish()
    }
}
