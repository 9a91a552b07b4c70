//! A simulated Primero v2: the routes referrals need, on a real socket, over a world that tests can arrange, change and look into.
//!
//! It answers as Primero does, traps included. It keeps everything in memory and checks passwords without hashing them.

mod access;
mod accounts;
mod body;
mod case_routes;
mod catalog;
mod errors;
mod filter;
mod forms;
mod merge;
mod preset;
mod referral_routes;
mod referrals;
mod release;
mod routes;
mod save;
mod search;
mod sessions;
mod staff;
mod store;
mod user_routes;
mod views;
mod world;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

pub use accounts::{FormAccess, Role, Scope, User};
pub use catalog::{CHILD_PROTECTION, GENDER_BASED_VIOLENCE};
pub use forms::{Field, FieldType, Form, OptionSource};
pub use preset::{BRIDGE, BRIDGE_PASSWORD, BRIDGE_ROLE, CASE_WORKER, INTAKE, OTHER_CASE_WORKER, UNHCR};
pub use referrals::{NewReferral, Standing};
pub use release::Release;
pub use staff::{OpenForm, Staff, Unsaved};
pub use store::Document;

use super::{
    faults::Faults,
    handshake::{Handshake, Shows},
    locked,
    log::Log,
    pki::Authority,
    scene::Scene,
    wire::{self, Connection, Cut, Door, Handler, Reply},
};
use crate::clock::Clock;
use errors::Refusal;
use routes::Answer;
use world::World;

/// A running simulated Primero. Clones are the same; it stops when the last one is dropped.
#[derive(Clone)]
pub struct SimulatedPrimero {
    state: State,
    handshake: Option<Handshake>,
    door: Arc<Door<State>>,
}

#[derive(Clone)]
struct State {
    world: Arc<Mutex<World>>,
    scene: Scene,
}

impl SimulatedPrimero {
    /// Starts the newest release on a free port of the loopback, with the forms and lookups of an instance but without people.
    ///
    /// # Errors
    /// If no socket can be had.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await?, clock)
    }

    /// Likewise, behind TLS with a certificate of this authority.
    ///
    /// # Errors
    /// If no socket can be had.
    pub async fn start_behind_tls(clock: Clock, authority: Arc<Authority>) -> io::Result<Self> {
        let handshake = Handshake::new(authority, false);
        Self::open(TcpListener::bind("127.0.0.1:0").await?, clock, Some(handshake))
    }

    /// Starts on a socket handed in.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn start_on(listener: TcpListener, clock: Clock) -> io::Result<Self> {
        Self::open(listener, clock, None)
    }

    fn open(listener: TcpListener, clock: Clock, handshake: Option<Handshake>) -> io::Result<Self> {
        let mut world = World::new(clock.clone(), Release::NEWEST);
        catalog::furnish(&mut world.forms);
        let state = State { world: Arc::new(Mutex::new(world)), scene: Scene::new(clock, errors::wording) };
        let tls = handshake.as_ref().and_then(Handshake::source);
        let door = Arc::new(Door::open(listener, tls, state.clone())?);
        Ok(Self { state, handshake, door })
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.handshake.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.door.address())
    }

    /// Faults that requests may meet.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.state.scene.faults
    }

    /// What it was asked.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.state.scene.log
    }

    /// From now on connections are refused. Returns when the socket is closed and all connections are gone.
    pub async fn go_down(&self) {
        self.door.shut().await;
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    /// If somebody else has taken the port.
    pub async fn come_up(&self) -> io::Result<()> {
        self.door.reopen().await
    }

    /// Cuts all connections and returns when they are gone; new ones are welcome.
    pub async fn cut_connections(&self) {
        self.door.cut_connections().await;
    }

    /// From now on new connections are refused; what is connected goes on. Returns when the socket is closed.
    pub async fn refuse_connections(&self) {
        self.door.refuse().await;
    }

    /// Greets otherwise from the next connection on, if it stands behind TLS; what is connected goes on.
    pub fn show_next(&self, shows: Shows) {
        if let Some(handshake) = &self.handshake {
            handshake.show(shows);
        }
    }

    /// Behaves as another release.
    pub fn set_release(&self, release: Release) {
        let mut world = self.world();
        world.release = release;
        world.forget_access();
    }

    /// Lets rows with equal sort keys come in another order at every search, as a database may.
    pub fn shuffle_ties(&self) {
        self.world().tie_order = Some(0);
    }

    /// How long a request line may be before the proxy in front refuses it.
    pub fn set_longest_request_line(&self, bytes: usize) {
        self.world().longest_request_line = bytes;
    }

    /// Says that a configuration update is in progress, or that it is over.
    pub fn set_updating(&self, updating: bool) {
        self.world().updating = updating;
    }

    /// A person at work, by user name.
    #[must_use]
    pub fn staff(&self, user_name: &str) -> Staff<'_> {
        Staff { primero: self, user_name: user_name.to_owned() }
    }

    /// Adds a role, or replaces the one with this id.
    pub fn put_role(&self, role: Role) {
        let mut world = self.world();
        world.accounts.put_role(role);
        world.forget_access();
    }

    /// Changes a role.
    pub fn change_role(&self, unique_id: &str, change: impl FnOnce(Role) -> Role) {
        let mut world = self.world();
        if let Some(role) = world.accounts.role(unique_id) {
            let role = change(Role::clone(role));
            world.accounts.put_role(role);
            world.forget_access();
        }
    }

    /// Adds an account, or replaces the one with this name.
    pub fn put_user(&self, user: User) {
        let mut world = self.world();
        let now = world.clock.now();
        world.accounts.put_user(user, now);
    }

    /// Changes an account.
    pub fn change_user(&self, user_name: &str, change: impl FnOnce(User) -> User) {
        let user = self.world().accounts.user(user_name).map(|user| User::clone(user));
        if let Some(user) = user {
            self.put_user(change(user));
        }
    }

    /// Names an agency.
    pub fn put_agency(&self, unique_id: &str, name: &str) {
        self.world().accounts.put_agency(unique_id, name);
    }

    /// Failed tries to sign in since the last success, and whether they have locked the account.
    #[must_use]
    pub fn failed_sign_ins(&self, user_name: &str) -> (u32, bool) {
        self.world().accounts.failed_attempts(user_name)
    }

    /// Adds a form, or replaces the one with this id.
    pub fn put_form(&self, form: Form) {
        let mut world = self.world();
        world.forms.put_form(form);
        world.forget_access();
    }

    /// Puts a field on a form, in place of one with the same name.
    pub fn put_field(&self, form: &str, field: Field) {
        let mut world = self.world();
        if let Some(form) = world.forms.form_mut(form) {
            form.fields.retain(|known| known.name != field.name);
            form.fields.push(field);
        }
        world.forget_access();
    }

    /// Makes sure that a field is there, on any form, and that it offers these options (id and label).
    pub fn offer(&self, form: &str, field: Field, options: &[(String, String)]) {
        let mut world = self.world();
        // What every case has stands on no form.
        if access::is_core(&field.name) && world.forms.field(&field.name).is_none() {
            return;
        }
        world.forms.offer(form, field, options);
        world.forget_access();
    }

    /// Takes a field off a form.
    pub fn remove_field(&self, form: &str, field: &str) {
        let mut world = self.world();
        if let Some(form) = world.forms.form_mut(form) {
            form.fields.retain(|known| known.name != field);
        }
        world.forget_access();
    }

    /// Adds a lookup, or replaces the one with this id: option ids and labels.
    pub fn put_lookup(&self, unique_id: &str, values: &[(&str, &str)]) {
        let values = values.iter().map(|(id, label)| ((*id).to_owned(), (*label).to_owned())).collect();
        self.change_lookup(unique_id, |known| *known = values);
    }

    /// Takes an option out of a lookup.
    pub fn remove_option(&self, lookup: &str, option: &str) {
        self.change_lookup(lookup, |values| values.retain(|(id, _)| id != option));
    }

    /// Gives an option another label.
    pub fn relabel_option(&self, lookup: &str, option: &str, label: &str) {
        self.change_lookup(lookup, |values| {
            for (_, known) in values.iter_mut().filter(|(id, _)| id == option) {
                label.clone_into(known);
            }
        });
    }

    /// How many cases there are.
    #[must_use]
    pub fn case_count(&self) -> usize {
        self.world().store.len()
    }

    /// A case as it is stored, whoever may read it.
    #[must_use]
    pub fn case(&self, key: Uuid) -> Option<Document> {
        self.world().store.get(key).map(|case| case.document.clone())
    }

    /// The keys of all cases whose field holds exactly this, in the order they were stored.
    #[must_use]
    pub fn cases_with(&self, field: &str, value: &Value) -> Vec<Uuid> {
        let world = self.world();
        let cases = world.store.slots().map(|slot| world.store.at(slot));
        cases.filter(|case| case.document.get(field) == Some(value)).map(|case| case.key).collect()
    }

    /// The service items of a case.
    #[must_use]
    pub fn services(&self, key: Uuid) -> Vec<Document> {
        let services = self.case(key).and_then(|mut case| case.remove("services_section"));
        let items = services.as_ref().and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_object).cloned().collect()
    }

    /// How often a case was saved, by anybody, the first time included.
    #[must_use]
    pub fn saves(&self, key: Uuid) -> u32 {
        self.world().store.get(key).map_or(0, |case| case.saves)
    }

    /// The referrals of a case with where they stand, in the order they were made.
    #[must_use]
    pub fn referrals(&self, case: Uuid) -> Vec<(Uuid, Standing)> {
        self.world().referrals.of_case(case).map(|referral| (referral.id, referral.standing)).collect()
    }

    /// A referral as somebody who sees everything would read it.
    #[must_use]
    pub fn referral(&self, id: Uuid) -> Option<Document> {
        let nobody = User::new("", "");
        self.world().referrals.get(id).map(|referral| referrals::referral_json(referral, &nobody, false))
    }

    /// How many referrals there are in all.
    #[must_use]
    pub fn referral_count(&self) -> usize {
        self.world().referrals.len()
    }

    fn change_lookup(&self, unique_id: &str, change: impl FnOnce(&mut Vec<(String, String)>)) {
        let mut world = self.world();
        let mut values = world.forms.lookup_values(unique_id);
        change(&mut values);
        world.forms.put_lookup(unique_id, values);
        world.forget_access();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.state.world)
    }
}

impl Handler for State {
    async fn handle(&self, request: hyper::Request<Incoming>, connection: Connection) -> Result<Reply, Cut> {
        let line = request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1 ".len();
        let asked = wire::read(request, routes::endpoint).await?;
        let world = self.world.clone();
        self.scene
            .play(asked, connection, move |asked| {
                let answer = {
                    let mut world = locked(&world);
                    if line > world.longest_request_line {
                        return Refusal::Proxy(414).reply(&asked.path);
                    }
                    routes::answer(&mut world, asked)
                };
                match answer {
                    Answer::Now(reply) => reply,
                    Answer::Later(later) => later(),
                }
            })
            .await
    }
}
