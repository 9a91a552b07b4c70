//! What is done with the state as a whole: sealed with another key, or emptied of everything that DTP posted.

use super::{Failure, Office};

/// Seals everything with the first state key, and says what still needs another one.
pub(super) async fn rotate(office: &Office, first: &str, who: String) -> Result<String, Failure> {
    let in_use = office.spool.first_key();
    if in_use != first {
        return Err(Failure::failed(format!(
            "the daemon seals with the key `{in_use}`, and the configuration names `{first}` first (hint: let the daemon read its \
             configuration again, then ask again)"
        )));
    }
    let rotated = office.spool.rotate(who).await?;
    let count = match rotated.sealed_anew {
        1 => "the content of 1 delivery".to_owned(),
        many => format!("the content of {many} deliveries"),
    };
    let done = format!("the identity key is sealed with the key `{first}`, and {count} was sealed anew with it");
    if rotated.left.is_empty() {
        return Ok(format!(
            "{done}; nothing here needs another key (hint: the old one may leave `state.key_files`; a copy of the state that was made \
             before still needs it)"
        ));
    }
    let left: Vec<String> = rotated.left.iter().map(|(id, key)| format!("delivery {id} needs `{key}`")).collect();
    Err(Failure::failed(format!(
        "{done}, but some content cannot be opened: {} (hint: name that key file, too; content that is damaged goes with \
         `deliveries stop`)",
        left.join(", ")
    )))
}

/// Erases everything that DTP posted and that still waits.
pub(super) async fn erase_parcels(office: &Office, who: String) -> Result<String, Failure> {
    let erased = office.spool.erase_parcels(who).await?;
    let mut said = match erased.stopped {
        0 => "nothing waited that UNHCR had sent".to_owned(),
        1 => "1 delivery is stopped and its content erased; UNHCR is told nothing by this system".to_owned(),
        many => format!("{many} deliveries are stopped and their content erased; UNHCR is told nothing by this system"),
    };
    if erased.attempted > 0 {
        said += &format!(
            "; {} more are being attempted: their stored content is erased, and the attempts end by themselves (hint: switch the flows \
             off, or stop the daemon)",
            erased.attempted
        );
    }
    said += if erased.overwritten {
        "; it is overwritten on the disk"
    } else {
        "; it is overwritten on the disk within a minute, when nobody reads the state"
    };
    Ok(said)
}
