//! What is told when: the first of its kind at once, what follows together, what stays open to the second stage, and once that it
//! is over.
//!
//! Pure: it compares what is open now with what a target was told, and knows neither where both come from nor how a message goes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    reason::Reason,
    referral::{DeliveryId, codes},
    spool::list::Kind,
};

codes! {
    /// What a message is about.
    Topic {
        /// A delivery waits for a person.
        Held = "held",
        /// A delivery is unsettled for too long.
        Late = "late",
        /// A delivered number came again with other content.
        ChangedAfterDelivery = "changed_after_delivery",
        /// A delivered number came again for another person.
        NumberAlreadyDelivered = "number_already_delivered",
        /// A referral that left was withdrawn.
        WithdrawnAfterSend = "withdrawn_after_send",
        /// UNHCR withdrew a request.
        WithdrawnByUnhcr = "withdrawn_by_unhcr",
        /// Two sides say different things.
        Conflict = "conflict",
        /// Fields did not stick in Primero.
        NotStored = "not_stored",
        /// Changed cases are not read for referrals.
        ReferralsNotRead = "referrals_not_read",
        /// Changed cases are not read for decisions.
        DecisionsNotRead = "decisions_not_read",
        /// Nothing was taken or told of UNHCR's requests.
        ToPrimeroSilent = "to_primero_silent",
        /// Nothing was taken or told of referrals to UNHCR.
        ToDtpSilent = "to_dtp_silent",
        /// A referral is not decided.
        Undecided = "undecided",
        /// A service or a referral is for UNHCR, but not quite.
        NearMiss = "near_miss",
        /// There is too little room on the disk.
        DiskNearlyFull = "disk_nearly_full",
        /// A post could not be stored.
        PostNotStored = "post_not_stored",
        /// Nothing is sent to Primero but probes.
        PrimeroBlocked = "primero_blocked",
        /// Nothing is sent to DTP but probes.
        DtpBlocked = "dtp_blocked",
        /// The agreement ends soon, or has ended.
        AgreementExpiring = "agreement_expiring",
        /// The client certificate ends soon, or has ended.
        CertificateExpiring = "certificate_expiring",
        /// A key of the inbox ends soon, or has ended.
        KeyExpiring = "key_expiring",
    }
}

impl Topic {
    /// What an entry of the operator's list is about; `None` for what nobody is told of but by the list.
    #[must_use]
    pub const fn of_entry(kind: Kind, reason: Option<Reason>) -> Option<Self> {
        Some(match kind {
            Kind::Held => Self::Held,
            Kind::Late => Self::Late,
            Kind::ChangedAfterDelivery => Self::ChangedAfterDelivery,
            Kind::NumberAlreadyDelivered => Self::NumberAlreadyDelivered,
            Kind::WithdrawnAfterSend => Self::WithdrawnAfterSend,
            Kind::WithdrawnByUnhcr => Self::WithdrawnByUnhcr,
            Kind::Conflict => Self::Conflict,
            Kind::NotStored => Self::NotStored,
            Kind::ReferralsNotRead => Self::ReferralsNotRead,
            Kind::DecisionsNotRead => Self::DecisionsNotRead,
            Kind::ToPrimeroSilent => Self::ToPrimeroSilent,
            Kind::ToDtpSilent => Self::ToDtpSilent,
            Kind::Undecided => Self::Undecided,
            Kind::NearMiss => Self::NearMiss,
            Kind::DiskNearlyFull => Self::DiskNearlyFull,
            // Half of it is for UNHCR: whoever made it may believe that it was sent.
            Kind::Withheld => match reason {
                Some(Reason::ImplementingAgencyNotListed | Reason::RecipientNotListed) => Self::NearMiss,
                Some(_) | None => return None,
            },
            Kind::Refused | Kind::Stopped | Kind::Differs | Kind::NotTaken | Kind::InboxRefused => return None,
        })
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Held => "A person must decide, or put something right in Primero.",
            Self::Late => "It is not done yet and has waited for too long.",
            Self::ChangedAfterDelivery => "UNHCR sent a delivered request again with other content. Nothing was changed.",
            Self::NumberAlreadyDelivered => "A delivered number came again for another person. Ask UNHCR at once.",
            Self::WithdrawnAfterSend => "A referral that left was withdrawn. UNHCR has NOT been told by this system.",
            Self::WithdrawnByUnhcr => "UNHCR withdrew a request that is, or may be, in Primero.",
            Self::Conflict => "Two records, or the two sides, say different things.",
            Self::NotStored => "Primero did not keep some fields; the rest is there.",
            Self::ReferralsNotRead => "Changed cases cannot all be read: referrals to UNHCR may wait unseen.",
            Self::DecisionsNotRead => "Changed cases cannot all be read: decisions for UNHCR may wait unseen.",
            Self::ToPrimeroSilent => "Nothing was taken or told of UNHCR's requests for long.",
            Self::ToDtpSilent => "Nothing was taken or told of referrals to UNHCR for long.",
            Self::Undecided => "Nobody has decided on a referral for a week or more.",
            Self::NearMiss => "Something in Primero is for UNHCR, but not so that it is sent.",
            Self::DiskNearlyFull => "There is little room on the disk. When it is full, nothing more can be taken.",
            Self::PostNotStored => "A post of DTP could not be stored and was answered with 503.",
            Self::PrimeroBlocked => "Nothing is sent to Primero but probes, because something is wrong on our side.",
            Self::DtpBlocked => "Nothing is sent to DTP but probes, because something is wrong on our side.",
            Self::AgreementExpiring => "The data sharing agreement ends soon, or has ended.",
            Self::CertificateExpiring => "Our client certificate ends soon, or has ended.",
            Self::KeyExpiring => "A key of the inbox ends soon, or has ended.",
        }
    }
}

/// Something that is open now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What kind of thing.
    pub topic: Topic,
    /// Which: the number of the entry; where there is none, a number that the topic gives. Never 0.
    pub about: i64,
    /// How far it has come; told again when it has come further.
    pub level: i64,
    /// Since when, as a second stage counts it.
    pub since: DateTime<Utc>,
    /// The number that the command line knows it by.
    pub number: Option<DeliveryId>,
    /// Of what ends: in how many days.
    pub days: Option<i64>,
}

/// What a target was told about one thing, or about a topic as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// How far it had come.
    pub level: i64,
    /// When.
    pub time: DateTime<Utc>,
}

/// What a target was told of each thing that was open then, and under [`WHOLE`] when it last heard of the topic at all.
pub type Book = BTreeMap<(Topic, i64), Heard>;

/// Stands for a topic as a whole.
pub const WHOLE: i64 = 0;

/// When a target is told.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Of a second stage: only of what is open for so long.
    pub after: Option<TimeDelta>,
    /// What comes after the first of its topic is told together, once in this time.
    pub digest: TimeDelta,
}

codes! {
    /// What is new about something.
    News {
        /// It is open, and the target had not heard of it.
        Open = "open",
        /// It is open still, and has come further.
        StillOpen = "still_open",
        /// It was told, and is over.
        Over = "over",
    }
}

/// What a message says of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The topic.
    pub topic: Topic,
    /// What is new.
    pub news: News,
    /// Of how many things.
    pub count: usize,
    /// The numbers of those that have one, in order.
    pub numbers: Vec<DeliveryId>,
    /// Of what ends: in how many days the first does.
    pub days: Option<i64>,
}

/// What a target must be told now, and what it has heard once it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The message; empty if there is nothing to tell now.
    pub items: Vec<Item>,
    /// The book once it was told.
    pub book: Book,
}

/// Compares what is open with what a target was told.
#[must_use]
pub fn due(open: &[Open], book: &Book, rules: Rules, now: DateTime<Utc>) -> Due {
    let mut due = Due { items: Vec::new(), book: book.clone() };
    let standing: BTreeSet<(Topic, i64)> = open.iter().map(|open| (open.topic, open.about)).collect();
    let over = |topic| move |(key, _): &(&(Topic, i64), &Heard)| key.0 == topic && key.1 != WHOLE;
    // Something that has come less far than it was told, because its end was put off, is told anew from there.
    for open in open {
        if let Some(heard) = due.book.get_mut(&(open.topic, open.about)) {
            heard.level = heard.level.min(open.level);
        }
    }
    let (mut fresh, mut messages) = (BTreeSet::new(), Vec::new());
    for topic in Topic::ALL.iter().copied() {
        let of_topic =
            open.iter().filter(|open| open.topic == topic && rules.after.is_none_or(|after| open.since + after <= now));
        let (mut new, mut further) = (Vec::new(), Vec::new());
        for open in of_topic {
            match book.get(&(topic, open.about)) {
                None => new.push(open),
                Some(heard) if heard.level < open.level => further.push(open),
                Some(_) => {}
            }
        }
        let ended: Vec<i64> = book
            .iter()
            .filter(over(topic))
            .map(|((_, about), _)| *about)
            .filter(|about| !standing.contains(&(topic, *about)))
            .collect();
        if new.is_empty() && further.is_empty() && ended.is_empty() {
            continue;
        }
        // A time that lies ahead was written by a clock that was wrong.
        let last = book.get(&(topic, WHOLE)).map(|heard| heard.time).filter(|last| *last <= now);
        if last.is_none_or(|last| now - last >= rules.digest) {
            fresh.insert(topic);
        }
        messages.push((topic, new, further, ended));
    }
    // Whoever is written to anyway hears the rest, too.
    if fresh.is_empty() {
        return due;
    }
    for (topic, new, further, ended) in messages {
        due.book.insert((topic, WHOLE), Heard { level: 0, time: now });
        for (news, things) in [(News::Open, &new), (News::StillOpen, &further)] {
            for open in things {
                due.book.insert((topic, open.about), Heard { level: open.level, time: now });
            }
            due.items.extend(item(topic, news, things));
        }
        if !ended.is_empty() {
            for about in &ended {
                due.book.remove(&(topic, *about));
            }
            let numbers = ended.iter().filter(|_| has_numbers(topic)).map(|about| DeliveryId(*about)).collect();
            due.items.push(Item { topic, news: News::Over, count: ended.len(), numbers, days: None });
        }
    }
    due
}

fn item(topic: Topic, news: News, things: &[&Open]) -> Option<Item> {
    let mut numbers: Vec<DeliveryId> = things.iter().filter_map(|open| open.number).collect();
    numbers.sort_unstable();
    let days = things.iter().filter_map(|open| open.days).min();
    (!things.is_empty()).then_some(Item { topic, news, count: things.len(), numbers, days })
}

/// Whether what a topic is about has a number on the command line: that of its entry.
const fn has_numbers(topic: Topic) -> bool {
    !matches!(
        topic,
        Topic::PostNotStored
            | Topic::PrimeroBlocked
            | Topic::DtpBlocked
            | Topic::AgreementExpiring
            | Topic::CertificateExpiring
            | Topic::KeyExpiring
    )
}

#[cfg(test)]
mod tests;
