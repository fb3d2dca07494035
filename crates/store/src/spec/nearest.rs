//! Suggestions for misspelled names.

/// The known name that is so similar that it was probably meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs the product of the lengths, and no known name is long.
    if name.len() > 64 {
        return None;
    }
    let distance = |known: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), known);
    known.into_iter().min_by_key(distance).filter(|known| distance(known) <= 1 + known.len() / 4)
}
