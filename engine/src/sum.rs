//! Sums whose bits do not depend on the number of threads.
//!
//! Every reduction of judged numbers runs over chunks of a fixed size; the partial results are combined in order.

use rayon::prelude::*;

/// Items per partial result. Part of the method: changing it changes last bits of judged numbers.
pub const CHUNK: usize = 4096;

/// Folds `0..len` in chunks of [`CHUNK`] in parallel and merges the partials from first to last.
pub fn fold<A: Send>(len: usize, init: impl Fn() -> A + Sync, step: impl Fn(A, usize) -> A + Sync, merge: impl Fn(A, A) -> A) -> A {
    let partials: Vec<A> =
        (0..len.div_ceil(CHUNK)).into_par_iter().map(|c| (c * CHUNK..((c + 1) * CHUNK).min(len)).fold(init(), &step)).collect();
    partials.into_iter().fold(init(), merge)
}

/// Sum of `term(i)` for `i` in `0..len`.
pub fn sum(len: usize, term: impl Fn(usize) -> f64 + Sync) -> f64 {
    fold(len, || 0.0, |a, i| a + term(i), |a, b| a + b)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_sum_has_the_same_bits_on_one_thread_and_on_many() {
        let values: Vec<f64> = (0..100_003).map(|i| libm::sin(i as f64) * 1e3).collect();
        let on = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| super::sum(values.len(), |i| values[i]))
        };
        assert_eq!(on(1).to_bits(), on(7).to_bits());
    }
}
