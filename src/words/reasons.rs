//! Every reason in words: what happened, what to do about it, and whether somebody must know at once.

use crate::reason::Reason;

/// A reason in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What happened; one or two sentences.
    pub happened: &'static str,
    /// What to do, with the command where one helps; `ID` stands for the number of the entry.
    pub to_do: &'static str,
    /// Whether it is an alarm from the first moment.
    pub alarm: bool,
}

/// Something that a person finds on the list and deals with in time.
const fn note(happened: &'static str, to_do: &'static str) -> Words {
    Words { happened, to_do, alarm: false }
}

/// Something that somebody must know at once.
const fn alarm(happened: &'static str, to_do: &'static str) -> Words {
    Words { happened, to_do, alarm: true }
}

/// A reason in words.
#[must_use]
pub const fn words(reason: Reason) -> Words {
    match reason {
        // The message is wrong for good.
        Reason::MissingFields => note(
            "Required fields are missing.",
            "Nothing here: UNHCR was told which fields and can send the referral again. Phone if the child cannot wait.",
        ),
        Reason::InvalidValues => note(
            "Fields hold values that cannot be used.",
            "Nothing here: UNHCR was told which fields and can send the referral again. If the values should be allowed, have the mapping changed.",
        ),
        Reason::ServiceTypeNotAgreed => note(
            "The service type is not on the agreed list.",
            "Nothing here: UNHCR was told. If the agreement allows this service type, add it to `flow1.service_types`.",
        ),
        Reason::RowsContradict => note(
            "The rows that UNHCR sent for one referral contradict each other.",
            "Nothing here: UNHCR was told which fields and can send the referral again.",
        ),
        Reason::ValuesRefused => note(
            "Primero refused values that UNHCR sent.",
            "Nothing here: UNHCR was told which fields. If the values should be allowed, compare the mapping with Primero's forms: `referrald check`.",
        ),
        Reason::NotDeliveredInTime => note(
            "It could not be put into Primero in the agreed time, and UNHCR was told so.",
            "Ask UNHCR whether the child was helped in another way. UNHCR can send the referral again.",
        ),
        Reason::StoppedByFocalPoint => {
            note("The CPIMS+ focal point stopped it, and UNHCR was told so.", "Nothing: this was decided here.")
        }
        Reason::NotMatchedSafely => note(
            "It could not be matched safely with one case, and UNHCR was asked to contact the CPIMS+ focal point.",
            "Expect a call from UNHCR. Find the case together, then let UNHCR send the referral again.",
        ),
        Reason::RefusedByDtp => note(
            "DTP refused the message.",
            "Ask UNHCR what is wrong with it. Then `referrald deliveries retry ID`, or inform UNHCR by the manual procedure and `referrald deliveries resolve ID --by ROLE`.",
        ),

        // A person must decide.
        Reason::Several => note(
            "Several cases carry this UNHCR number, or two numbers that UNHCR gave name different cases.",
            "Find the right case in Primero and correct the others. It is looked at again every 30 minutes, or at once with `referrald deliveries retry ID`.",
        ),
        Reason::IdentifiersDiffer => note(
            "The case found carries another number than the one that UNHCR gave.",
            "Make sure with UNHCR which child is meant and correct the number in Primero, or have UNHCR send it right. Then `referrald deliveries retry ID`.",
        ),
        Reason::SimilarNumber => note(
            "A case carries a number that differs from UNHCR's only by upper and lower case or by blanks, or so many cases contain the number that nobody can say that none does.",
            "If it is the same child, correct the number in Primero. It is looked at again every 30 minutes, or at once with `referrald deliveries retry ID`.",
        ),
        Reason::IdentityDiffers => note(
            "The case found has the right number, but sex, year of birth or name contradict what UNHCR sent.",
            "Make sure with UNHCR which child is meant and correct the case in Primero, or have UNHCR correct it. Then `referrald deliveries retry ID`.",
        ),
        Reason::CaseNotOpen => note(
            "The case is not open. It may have been closed because consent was withdrawn.",
            "Ask the case worker. If the case may be open, open it in Primero; else `referrald deliveries stop ID --reason withdrawn`.",
        ),
        Reason::CaseOutOfReach => note(
            "A case for this number exists in Primero, but it is disabled, in another module or not visible to us.",
            "Ask the Primero administrator to look at the case. Then `referrald deliveries retry ID`.",
        ),
        Reason::OutOfScope => note(
            "Primero does not let us read or write this case or referral.",
            "Ask the Primero administrator to widen the scope of our account (`referrald check` tells what is missing). Then `referrald deliveries retry ID`.",
        ),
        Reason::Unconfirmed => alarm(
            "What stands in Primero could not be made sure, so UNHCR was told nothing.",
            "Look at the case in Primero. When the service is right, or surely not there, `referrald deliveries retry ID`; tell UNHCR by phone if the child cannot wait.",
        ),
        Reason::ConsentException => note(
            "The referral was made by exception, without consent.",
            "Let the responsible person decide. To send it: `referrald deliveries release ID --ground GROUND --decided-by ROLE`, where GROUND is vital_interests or best_interests; else revoke it in Primero.",
        ),
        Reason::RestrictionRecorded => note(
            "A restriction on sharing is recorded on the case.",
            "Ask the case worker. If the restriction no longer holds, correct it in Primero; else revoke the referral there.",
        ),
        Reason::UnknownDecisionCode => alarm(
            "UNHCR sent a decision with a code that is not in the table. It was not applied.",
            "Ask UNHCR what the code means. Have the mapping completed, then `referrald deliveries retry ID`; or record the decision in Primero and `referrald deliveries stop ID --reason sent_otherwise`.",
        ),
        Reason::NoSuchReferral => alarm(
            "UNHCR decided on a referral that is not in Primero.",
            "Ask UNHCR which referral is meant. Record the decision in Primero by hand, then `referrald deliveries stop ID --reason sent_otherwise`.",
        ),
        Reason::SeveralReferralsFit => alarm(
            "UNHCR's decision fits several referrals or cases.",
            "Ask UNHCR which is meant. Record the decision in Primero by hand, then `referrald deliveries stop ID --reason sent_otherwise`.",
        ),
        Reason::SentTwiceUnderThisId => alarm(
            "The service was referred twice, and UNHCR's decision does not tell which of the two is meant.",
            "Ask UNHCR which is meant. Record the decision in Primero by hand, then `referrald deliveries stop ID --reason sent_otherwise`.",
        ),
        Reason::DecisionRefused => note(
            "Primero refused to record UNHCR's decision. The consent on the case may have been withdrawn, or the recipient disabled.",
            "Look at the case and the referral in Primero. Put it right and `referrald deliveries retry ID`, or record the decision by hand and `referrald deliveries stop ID --reason sent_otherwise`.",
        ),
        Reason::TableValueRefused => alarm(
            "Primero refused a value that comes out of a table of our mapping.",
            "Compare the tables with Primero's options: `referrald check`. Have the table corrected, then `referrald deliveries retry ID`.",
        ),

        // We are wrong: the addressee stops.
        Reason::Unauthorized => alarm(
            "Our user name and password, or our subscription key, are not accepted.",
            "Put the right secret in place; it is noticed by itself. Do not try passwords by hand: six failures lock the account. Then `referrald check`.",
        ),
        Reason::Forbidden => alarm(
            "We are let in, but nothing is permitted.",
            "Ask the administrator of that system what changed in our role or in its policy. `referrald check` tells what is missing.",
        ),
        Reason::CertificateRefused => alarm(
            "Our client certificate was refused, or no secure connection can be made.",
            "`referrald certificate` shows what UNHCR must have on record. Send it to UNHCR, or correct `dtp.ca_file`. Then `referrald check`.",
        ),
        Reason::CertificateExpired => alarm(
            "Our client certificate has expired.",
            "Have a new one issued, send its thumbprint to UNHCR (`referrald certificate`), put it in place and restart referrald.",
        ),
        Reason::FilterIgnored => alarm(
            "Primero answered a search with records that were not asked for. To go on could touch the wrong child.",
            "Our role probably cannot read a field that is searched. `referrald check` names it; ask the Primero administrator.",
        ),
        Reason::FieldsNotWritable => alarm(
            "Primero dropped fields that we wrote.",
            "Our role cannot write them. `referrald check` names them; ask the Primero administrator.",
        ),
        Reason::WrongUrl => alarm(
            "The configured URL does not exist, or does not take what we send.",
            "Correct the URL in the configuration and restart referrald. `referrald check` tries it.",
        ),
        Reason::ConstantRefused => alarm(
            "Primero refused a constant of our mapping or a configured value.",
            "`referrald check` names it. Correct the mapping or the configuration, then restart referrald.",
        ),

        // They are unwell: later.
        Reason::Unreachable => note(
            "The other system cannot be reached.",
            "Nothing yet: it is tried again by itself. If it lasts, look at the network and ask its administrator.",
        ),
        Reason::TimedOut => note(
            "The other system did not answer in time.",
            "Nothing yet: it is tried again by itself. If it lasts, ask its administrator.",
        ),
        Reason::ConnectionLost => note(
            "The connection was cut before there was an answer.",
            "Nothing yet: it is tried again by itself. If it lasts, look at the network.",
        ),
        Reason::Throttled => note(
            "The other system asked us to send less.",
            "Nothing yet: it is tried again by itself. If it lasts, lower the rate in the configuration.",
        ),
        Reason::ServerError => note(
            "The other system failed with an error of its own.",
            "Nothing yet: it is tried again by itself. If only one record is affected, ask the administrator to look at its log.",
        ),
        Reason::GatewayError => note(
            "The other system is not available behind its gateway.",
            "Nothing yet: it is tried again by itself. If it lasts, ask its administrator.",
        ),
        Reason::NotAsPromised => note(
            "The other system gave an answer that is not what was promised.",
            "Nothing yet: it is tried again by itself. If it lasts, look for a proxy or a maintenance page in between.",
        ),
        Reason::CaseChanged => note("The case changed while we were writing to it.", "Nothing: it is matched again by itself."),

        // A referral may not leave.
        Reason::ConsentMissing => note(
            "Consent or assent to share with UNHCR is not recorded.",
            "Ask the case worker. If consent is given, record it in Primero; the referral is then looked at again by itself.",
        ),
        Reason::ImplementingAgencyNotListed => note(
            "The service's implementing agency is not one to which referrals are sent.",
            "If the referral is meant for UNHCR, correct the service in Primero; else nothing. The list is `referrals.implementing_agencies`.",
        ),
        Reason::RecipientNotListed => note(
            "The recipient of the referral is not one to which referrals are sent.",
            "If the referral is meant for UNHCR, make it again in Primero to UNHCR's user. The lists are `referrals.recipients` and `referrals.recipient_agencies`.",
        ),
        Reason::AgencyNotSigned => note(
            "An agency has not signed the agreement, or is not on the list: the one that owns the case, or the one for which UNHCR asked.",
            "If it has signed, add it to `referrals.owner_agencies`, or to `flow1.agencies` as proGres names it; else refer in the way that is agreed with that agency.",
        ),
        Reason::ServiceTypeNotListed => note(
            "The service type is not on the list of those that may be shared.",
            "If the agreement allows this service type, add it to `referrals.service_types`; else refer in the way that is agreed for it.",
        ),
        Reason::ModuleNotListed => note(
            "The case belongs to a module from which nothing is shared.",
            "Use the procedure of that module; this system does not share it. The list is `referrals.modules`.",
        ),
        Reason::NotInProgress => note(
            "The referral is no longer in progress in Primero.",
            "Nothing, if that was meant. Else make the referral again in Primero.",
        ),
        Reason::ServiceNotNamed => {
            note("The referral names no service of the case.", "Make the referral again in Primero, from the service itself.")
        }
        Reason::BeforeStart => note(
            "The referral was made before the first day of this connection.",
            "If it still matters, use the manual procedure or make the referral again in Primero.",
        ),
        Reason::AgreementNotValid => note(
            "The data sharing agreement is not valid today.",
            "Ask who answers for the agreement before sharing in any other way. When a new one is signed, enter its dates under `[agreement]` and restart referrald.",
        ),
        Reason::CannotBeMapped => note(
            "The referral has values for which UNHCR has no words, or lacks required ones.",
            "Complete the named fields in Primero, or have the mapping completed. Then `referrald deliveries retry ID`.",
        ),

        // Given up.
        Reason::Withdrawn => note("A person stopped it because it was withdrawn.", "Nothing: this was decided here."),
        Reason::SentOtherwise => {
            note("A person stopped it because it was sent in another way.", "Nothing: this was decided here.")
        }
        Reason::Error => note("A person stopped it because it was made in error.", "Nothing: this was decided here."),
        Reason::Expired => note(
            "It could not be delivered for seven days, so its content was erased here. UNHCR was not told.",
            "Ask UNHCR to send it again, or whether the child was helped in another way. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::NotSentInTime => note(
            "The referral could not be sent to UNHCR in the agreed time.",
            "Use the manual procedure. To send it after all, `referrald deliveries retry ID`.",
        ),
        Reason::ParcelMissing => alarm(
            "The stored content of this message is not there.",
            "Look in Primero whether it is there already; if not, ask UNHCR to send it again. Find out what happened to the state directory, such as a restored backup.",
        ),

        Reason::ContentErased => alarm(
            "Everything that UNHCR had sent and that still waited here was erased by a person. UNHCR was not told.",
            "Tell UNHCR that it must send it again, or use the manual procedure. Look in Primero first whether it is there already. Then `referrald deliveries resolve ID --by ROLE`.",
        ),

        // Nothing left to do.
        Reason::AlreadyReported => note("UNHCR has this decision already.", "Nothing."),
        Reason::NoLongerADecision => note("The decision was taken back in Primero before UNHCR was told.", "Nothing."),
        Reason::DecidedBefore => note(
            "Somebody had decided on the referral, or revoked it, before UNHCR's decision came.",
            "Compare both decisions and inform UNHCR where they differ. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::NothingToDo => note("The case asks nothing of us.", "Nothing."),
        Reason::Replaced => note("A newer message took its place.", "Nothing."),

        // What a person should know.
        Reason::ChangedAfterDelivery => note(
            "UNHCR sent a delivered referral again with other content. Nothing was changed in Primero.",
            "Ask UNHCR what changed and enter it in Primero if it matters. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::NumberAlreadyDelivered => alarm(
            "UNHCR sent a number that was delivered before, now for another person. Nothing was written.",
            "Ask UNHCR at once: the first referral, or this one, may be about the wrong child. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::Conflict => note(
            "Two records, or the two sides, say different things about one referral.",
            "Look at the cases named here, correct them in Primero and inform UNHCR where needed. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::Differs => note(
            "Values in Primero differ from what UNHCR sent. Nothing was overwritten.",
            "Compare the named fields with UNHCR and correct the wrong side. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::NotStored => note(
            "Primero did not keep some fields of a referral from UNHCR; the rest is there.",
            "Ask the Primero administrator whether the named fields are on our forms (`referrald check`). Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::NotTaken => note(
            "Items that DTP posted could not be used; the others were taken.",
            "Tell UNHCR which items: `referrald activity` names the post, as DTP was told it, and the places in it. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::InboxRefused => note(
            "Posts of DTP were refused.",
            "Tell UNHCR the status and the time; nobody knows whether DTP reads our answers. Then `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::Late => alarm(
            "It is not done yet and has waited for too long.",
            "`referrald deliveries show ID` tells what stands in the way. Phone UNHCR if the child cannot wait.",
        ),
        Reason::WithdrawnByUnhcr => note(
            "UNHCR has withdrawn its request, and it is, or may be, in Primero.",
            "In CPIMS+ within 24 hours: revoke the request, write a note on the case, and close the service, and the case if it was opened for nothing else. Then `referrald deliveries resolve ID --by ROLE`.",
        ),

        Reason::Silent => alarm(
            "Nothing was taken or told in this flow for longer than `alerts.silence_after`.",
            "Ask both sides whether there was nothing to send. If there was, `referrald check` looks at the connections, and `referrald activity` tells what was last seen. It leaves by itself.",
        ),
        Reason::DecisionNotReported => note(
            "A referral from UNHCR has been in Primero for a week or more, and no decision on it was reported.",
            "Ask the owner of the case to accept or reject it in Primero; the decision then goes to UNHCR by itself, and this leaves the list. If it was told in another way, `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::DecisionNotTold => note(
            "UNHCR took a referral a week or more ago, and has told no decision on it.",
            "Ask UNHCR's focal point what was decided. When the decision comes, this leaves the list by itself. If it was told in another way, `referrald deliveries resolve ID --by ROLE`.",
        ),
        Reason::ServiceNotReferred => note(
            "A service of this case is for UNHCR and marked as referred, but there is no referral of it: nothing reaches UNHCR.",
            "Ask the case worker to refer the service in Primero, or to correct it. It leaves by itself when the case is right.",
        ),
        Reason::ServiceWithoutReferral => note(
            "A service of this case is for UNHCR, and nobody has referred it: nothing reaches UNHCR.",
            "Ask the case worker whether UNHCR is to provide it: then it must be referred in Primero. It leaves by itself when it is referred, carried out, or for somebody else.",
        ),
        Reason::DiskNearlyFull => alarm(
            "There is less room on the disk of the state than `alerts.disk_free`. When it is full, nothing more can be taken.",
            "Make room. It leaves by itself.",
        ),

        // Withdrawal after sending.
        Reason::ReferralRevoked => note(
            "The referral was revoked in Primero after it was sent. UNHCR has NOT been told by this system.",
            "`referrald notice ID` prints what to send. Inform UNHCR, then `referrald deliveries resolve ID --informed-on DATE --by ROLE`.",
        ),
        Reason::ConsentWithdrawn => note(
            "Consent was withdrawn after the referral was sent. UNHCR has NOT been told by this system.",
            "`referrald notice ID` prints what to send. Inform UNHCR, then `referrald deliveries resolve ID --informed-on DATE --by ROLE`.",
        ),
        Reason::CaseDisabled => note(
            "The case is disabled in Primero. If its referral was sent before, UNHCR has NOT been told by this system.",
            "Ask the case worker why. For a referral that was sent, `referrald notice ID` prints what to send; then `referrald deliveries resolve ID --informed-on DATE --by ROLE`.",
        ),
        Reason::OutOfSight => note(
            "The case of a referral that was sent is no longer visible to us. UNHCR has NOT been told by this system.",
            "Ask the case worker whether consent was withdrawn. If so, inform UNHCR, then `referrald deliveries resolve ID --informed-on DATE --by ROLE`.",
        ),
    }
}
