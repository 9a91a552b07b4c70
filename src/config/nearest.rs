//! The word that was probably meant.
//!
//! It compares spellings; it does not know what the words mean.

/// How alike two words must be for a hint: one or two slips of the pen, or a word cut short.
const ALIKE: f64 = 0.86;

/// The candidate most like `word`, if one is alike enough.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (alike(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

fn alike(word: &str, candidate: &str) -> f64 {
    let one_slip = word.len() >= 3 && strsim::osa_distance(word, candidate) <= 1;
    strsim::jaro_winkler(word, candidate).max(if one_slip { ALIKE } else { 0.0 })
}

/// The known key that was probably meant by an unknown one: in its own section, else of the same name in another,
/// else, where the section does not exist, anywhere.
pub(super) fn nearest_key<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let split = |key: &'a str| key.rsplit_once('.').unwrap_or(("", key));
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let own = known.clone().filter(|other| split(other).0 == section);
    if let Some(meant) = nearest(name, own.clone().map(|other| split(other).1)) {
        return own.clone().find(|other| split(other).1 == meant);
    }
    // Of several the one that lies least deep.
    let namesake = known.clone().filter(|other| split(other).1 == name).min_by_key(|other| other.matches('.').count());
    namesake.or_else(|| nearest(key, known.filter(|_| section.is_empty() || own.clone().next().is_none())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_meant_is_found_in_its_section_then_by_its_name_then_anywhere() {
        let known = ["programme", "dtp.certificate_file", "dtp.timeout", "primero.password_file", "primero.timeout"];
        for (wrong, meant) in [
            ("dtp.certificat", Some("dtp.certificate_file")),
            ("dtp.time_out", Some("dtp.timeout")),
            ("dtp.password_file", Some("primero.password_file")),
            ("dtp_timeout", Some("dtp.timeout")),
            ("program", Some("programme")),
            ("dtp.colour", None),
            ("pdt.timeout", Some("dtp.timeout")),
            ("pdt.time_out", Some("dtp.timeout")),
        ] {
            assert_eq!(nearest_key(wrong, known.into_iter()), meant, "{wrong}");
        }
    }
}
