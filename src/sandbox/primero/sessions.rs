//! Session cookies, the CSRF check that comes with them, and the throttle on signing in.
//!
//! It knows no password; HTTP Basic passes it by.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::sandbox::wire::Asked;

const IDLE: TimeDelta = TimeDelta::minutes(60);
const SIGN_INS_PER_MINUTE: u32 = 6;

#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<String, Session>,
    sign_ins: HashMap<String, (i64, u32)>,
}

struct Session {
    user_name: Option<String>,
    csrf: String,
    used: DateTime<Utc>,
}

impl Sessions {
    /// The user of a valid session cookie.
    pub(super) fn user(&mut self, asked: &Asked, now: DateTime<Utc>) -> Option<String> {
        self.of(asked, now)?.user_name.clone()
    }

    /// Whether the request carries the CSRF token of its session.
    pub(super) fn csrf_holds(&mut self, asked: &Asked, now: DateTime<Utc>) -> bool {
        let sent = asked.header("x-csrf-token").map(str::to_owned);
        self.of(asked, now).is_some_and(|session| sent.as_ref() == Some(&session.csrf))
    }

    /// Opens a session, ending all others of the user. Gives the cookie and the CSRF token.
    pub(super) fn open(&mut self, user_name: Option<&str>, now: DateTime<Utc>) -> (String, String) {
        if let Some(user_name) = user_name {
            self.close(user_name);
        }
        let (cookie, csrf) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
        self.open.insert(cookie.clone(), Session { user_name: user_name.map(str::to_owned), csrf: csrf.clone(), used: now });
        (cookie, csrf)
    }

    /// Ends all sessions of a user.
    pub(super) fn close(&mut self, user_name: &str) {
        self.open.retain(|_, session| session.user_name.as_deref() != Some(user_name));
    }

    /// Counts a try to sign in; false when there were too many in this minute of the clock.
    pub(super) fn may_try(&mut self, user_name: &str, now: DateTime<Utc>) -> bool {
        let minute = now.timestamp().div_euclid(60);
        let (slot, count) = self.sign_ins.entry(user_name.to_owned()).or_default();
        if *slot != minute {
            (*slot, *count) = (minute, 0);
        }
        *count += 1;
        *count <= SIGN_INS_PER_MINUTE
    }

    fn of(&mut self, asked: &Asked, now: DateTime<Utc>) -> Option<&mut Session> {
        let cookies = asked.header("cookie")?;
        let cookie = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("_app_session="))?;
        let session = self.open.get_mut(cookie).filter(|session| now - session.used < IDLE)?;
        session.used = now;
        Some(session)
    }
}
