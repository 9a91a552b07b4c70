//! Who stands in the door: so many connections at a time, and none of them a stranger's where somebody with a key wants in.
//!
//! A connection over which a right key came is known. When all places are taken, a newcomer gets the place of a stranger:
//! the one that has stood there longest, of the source that has most of them. So whoever opens thousands of connections takes
//! the places from himself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::strangers::Source;

/// The places of a listener.
#[derive(Debug)]
pub struct Places {
    most: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// By the order in which they came.
    all: BTreeMap<u64, Standing>,
    by_peer: HashMap<SocketAddr, u64>,
    strangers: HashMap<Source, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Standing {
    peer: SocketAddr,
    leave: CancellationToken,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    number: u64,
    /// Somebody else needs the place.
    pub leave: CancellationToken,
}

impl Places {
    /// So many places.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: AtomicUsize::new(most), taken: Mutex::default() })
    }

    /// From now on so many places. Nobody who stands there has to go.
    pub fn allow(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// A place for a connection; `None` if all are taken and nobody is a stranger.
    pub fn take(self: &Arc<Self>, peer: SocketAddr) -> Option<Place> {
        let mut taken = self.taken();
        if taken.all.len() >= self.most.load(Ordering::Relaxed) {
            let most_then_oldest = |numbers: &&BTreeSet<u64>| (numbers.len(), Reverse(numbers.first().copied()));
            let stranger = taken.strangers.values().max_by_key(most_then_oldest)?.first().copied()?;
            if let Some(standing) = taken.remove(stranger) {
                standing.leave.cancel();
            }
        }
        let leave = CancellationToken::new();
        let number = taken.next;
        taken.next += 1;
        taken.all.insert(number, Standing { peer, leave: leave.clone() });
        taken.by_peer.insert(peer, number);
        taken.strangers.entry(Source::of(peer.ip())).or_default().insert(number);
        drop(taken);
        Some(Place { places: Arc::clone(self), number, leave })
    }

    /// A right key has come over the connection from there: it keeps its place.
    pub fn know(&self, peer: SocketAddr) {
        let mut taken = self.taken();
        if let Some(number) = taken.by_peer.get(&peer).copied() {
            taken.forget_stranger(peer, number);
        }
    }

    /// Whether a right key has come over the connection from there.
    #[must_use]
    pub fn knows(&self, peer: SocketAddr) -> bool {
        let taken = self.taken();
        taken.by_peer.get(&peer).is_some_and(|number| !taken.is_stranger(peer, *number))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Each change is whole, so a panic elsewhere does not take it away.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn remove(&mut self, number: u64) -> Option<Standing> {
        let standing = self.all.remove(&number)?;
        // A new connection may come from the same place before the old one is gone.
        if self.by_peer.get(&standing.peer) == Some(&number) {
            self.by_peer.remove(&standing.peer);
        }
        self.forget_stranger(standing.peer, number);
        Some(standing)
    }

    fn is_stranger(&self, peer: SocketAddr, number: u64) -> bool {
        self.strangers.get(&Source::of(peer.ip())).is_some_and(|numbers| numbers.contains(&number))
    }

    fn forget_stranger(&mut self, peer: SocketAddr, number: u64) {
        let source = Source::of(peer.ip());
        if let Some(numbers) = self.strangers.get_mut(&source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.strangers.remove(&source);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_newcomer_gets_the_oldest_place_of_the_source_that_has_most_strangers() {
        let places = Places::new(4);
        let one = places.take(peer("192.0.2.1:1")).unwrap();
        let [old, new] = [1, 2].map(|port| places.take(SocketAddr::new("192.0.2.2".parse().unwrap(), port)).unwrap());
        let known = places.take(peer("192.0.2.2:3")).unwrap();
        places.know(peer("192.0.2.2:3"));
        let newcomer = places.take(peer("192.0.2.3:1")).unwrap();
        assert!(places.knows(peer("192.0.2.2:3")) && !places.knows(peer("192.0.2.2:2")) && !places.knows(peer("192.0.2.9:1")));
        assert_eq!(
            [&one, &old, &new, &known, &newcomer].map(|place| place.leave.is_cancelled()),
            [false, true, false, false, false]
        );
        // The evicted one goes when it notices; its place is another's already.
        drop(old);
        let _late = places.take(peer("192.0.2.3:2")).unwrap();
        assert_eq!(places.taken().all.len(), 4);
    }

    #[test]
    fn nobody_who_is_known_gives_way() {
        let places = Places::new(1);
        let known = places.take(peer("192.0.2.1:1")).unwrap();
        places.know(peer("192.0.2.1:1"));
        assert!(places.take(peer("192.0.2.2:1")).is_none());
        drop(known);
        assert!(places.take(peer("192.0.2.2:1")).is_some());
        assert!(places.taken().all.is_empty() && places.taken().strangers.is_empty());
    }
}
