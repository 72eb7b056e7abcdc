//! Triangle soup to an indexed mesh: corners with the same coordinates become one vertex.
//!
//! Exact: coordinates are equal as numbers (-0 is 0), nothing is moved or dropped. Vertices are numbered by first appearance,
//! so the result depends on neither threads nor block size. Cost: blocks of triangles are welded in tables that fit the
//! cache while the file streams past (neighbouring triangles mostly lie close together in a file); only what is left, little more than
//! the vertices, meets in a second weld, partitioned by hash. Memory: the mesh itself plus 16 bytes per vertex left.

use std::hash::{BuildHasher, Hasher, RandomState};

use nalgebra::Point3;
use rayon::prelude::*;

use super::fault::Fault;
use crate::mesh::{Mesh, MeshError};

/// Coordinates as bits, -0 made 0: equal keys are equal numbers.
type Key = [u32; 3];

/// Triangles per block of the first weld: its table and input stay within a common second-level cache.
pub(super) const BLOCK: usize = 16 * 1024;
const PARTS: usize = 256;
const EMPTY: u32 = u32::MAX;

/// Bits of a coordinate with both zeros alike.
#[inline]
fn bits(x: f32) -> u32 {
    (x + 0.0).to_bits()
}

/// Multiply and fold: every input bit reaches the low bits that index a table and the high ones that choose a partition.
/// The seed differs from run to run so that no file can be made to collide; ids do not depend on it.
#[derive(Clone, Copy)]
struct Hash {
    seed: u64,
}

impl Hash {
    fn new() -> Self {
        Hash { seed: RandomState::new().build_hasher().finish() }
    }

    #[inline]
    fn of(self, k: &Key) -> u64 {
        let a = (self.seed ^ (u64::from(k[0]) | u64::from(k[1]) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let b = (a ^ a >> 29 ^ u64::from(k[2])).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        b ^ b >> 32
    }
}

/// Vertices and triangles of one block; triangles name the block's own vertices.
struct Block {
    keys: Vec<Key>,
    finite: bool,
}

/// Where the corners of a block go: an open-addressing table over the keys found so far.
struct Table {
    slots: Vec<u32>,
    mask: usize,
}

impl Table {
    fn new(entries: usize) -> Self {
        let size = (entries * 2).next_power_of_two().max(16);
        Table { slots: vec![EMPTY; size], mask: size - 1 }
    }

    /// Index of an equal key, or `next` after storing it.
    #[inline]
    fn find_or_insert(&mut self, hash: u64, next: u32, equal: impl Fn(u32) -> bool) -> u32 {
        let mut at = hash as usize & self.mask;
        loop {
            match self.slots[at] {
                EMPTY => {
                    self.slots[at] = next;
                    return next;
                }
                found if equal(found) => return found,
                _ => at = (at + 1) & self.mask,
            }
        }
    }
}

/// Welds `count` triangles. `read` gives the corners of triangles `start..start + out.len()`, from any thread, block by block.
pub(super) fn weld(count: usize, read: impl Fn(usize, &mut [[[f32; 3]; 3]]) -> Result<(), Fault> + Sync) -> Result<Mesh, Fault> {
    if count == 0 {
        return Err(MeshError::Empty { vertices: 0 }.into());
    }
    // Ids of corners and vertices are 32 bits.
    let allowed = u32::MAX as usize / 3 - BLOCK;
    if count > allowed {
        return Err(Fault::TooLarge { what: "the number of triangles", found: count as u64, allowed: allowed as u64 });
    }
    let hash = Hash::new();
    let mut triangles = vec![[0u32; 3]; count];
    let blocks: Vec<Block> = triangles
        .par_chunks_mut(BLOCK)
        .enumerate()
        .map_init(
            || vec![[[0f32; 3]; 3]; BLOCK.min(count)],
            |soup, (b, out)| {
                let soup = &mut soup[..out.len()];
                read(b * BLOCK, soup)?;
                Ok(weld_block(hash, soup, out))
            },
        )
        .collect::<Result<_, Fault>>()?;
    if let Some(b) = blocks.iter().position(|b| !b.finite) {
        return Err(not_finite(b, count, &read));
    }
    let starts: Vec<usize> = blocks.iter().scan(0, |sum, b| Some(std::mem::replace(sum, *sum + b.keys.len()))).collect();
    let total = blocks.iter().map(|b| b.keys.len()).sum();
    let mut keys: Vec<Key> = Vec::with_capacity(total);
    blocks.into_iter().for_each(|b| keys.extend_from_slice(&b.keys));
    let (ids, vertices) = merge(hash, &keys);
    triangles.par_chunks_mut(BLOCK).zip(&starts).for_each(|(block, &start)| {
        let ids = &ids[start..];
        block.iter_mut().flatten().for_each(|v| *v = ids[*v as usize]);
    });
    drop((keys, ids));
    Ok(Mesh::new(vertices, triangles)?)
}

fn weld_block(hash: Hash, soup: &[[[f32; 3]; 3]], out: &mut [[u32; 3]]) -> Block {
    let mut table = Table::new(soup.len() * 3 / 2);
    let (mut keys, mut finite) = (Vec::<Key>::with_capacity(soup.len()), true);
    for (corners, triangle) in soup.iter().zip(out) {
        for (corner, id) in corners.iter().zip(triangle) {
            finite &= corner.iter().all(|x| x.is_finite());
            let key = corner.map(bits);
            // A full table would never end the search: soups of strangers get a larger one.
            if keys.len() * 4 > table.slots.len() * 3 {
                table = rehashed(hash, &keys);
            }
            let next = keys.len() as u32;
            *id = table.find_or_insert(hash.of(&key), next, |k| keys[k as usize] == key);
            if *id == next {
                keys.push(key);
            }
        }
    }
    keys.shrink_to_fit();
    Block { keys, finite }
}

fn rehashed(hash: Hash, keys: &[Key]) -> Table {
    let mut table = Table::new(keys.len() * 2);
    for (i, key) in keys.iter().enumerate() {
        table.find_or_insert(hash.of(key), i as u32, |_| false);
    }
    table
}

/// The vertex number of every key, and the vertices in order of first appearance.
fn merge(hash: Hash, keys: &[Key]) -> (Vec<u32>, Vec<Point3<f64>>) {
    let part = |k: &Key| (hash.of(k) >> 56) as usize % PARTS;
    // Positions of the keys by partition, ascending within each: a counting sort.
    let chunk = keys.len().div_ceil(rayon::current_num_threads()).max(1);
    let counts: Vec<Vec<u32>> = keys
        .par_chunks(chunk)
        .map(|keys| {
            keys.iter().fold(vec![0u32; PARTS], |mut c, k| {
                c[part(k)] += 1;
                c
            })
        })
        .collect();
    let lists: Vec<Vec<Vec<u32>>> = keys
        .par_chunks(chunk)
        .zip(&counts)
        .enumerate()
        .map(|(c, (keys, counts))| {
            let mut lists: Vec<Vec<u32>> = counts.iter().map(|&n| Vec::with_capacity(n as usize)).collect();
            keys.iter().enumerate().for_each(|(i, k)| lists[part(k)].push((c * chunk + i) as u32));
            lists
        })
        .collect();
    // Position of the first equal key, for every key that is not itself the first. Partitions touch disjoint positions.
    let later: Vec<Vec<(u32, u32)>> = (0..PARTS)
        .into_par_iter()
        .map(|p| {
            let mut table = Table::new(lists.iter().map(|l| l[p].len()).sum());
            let positions = lists.iter().flat_map(|l| &l[p]);
            positions
                .filter_map(|&at| {
                    let key = &keys[at as usize];
                    let first = table.find_or_insert(hash.of(key), at, |k| keys[k as usize] == *key);
                    (first != at).then_some((at, first))
                })
                .collect()
        })
        .collect();
    drop(lists);
    let mut ids = vec![EMPTY; keys.len()];
    later.iter().flatten().for_each(|&(at, first)| ids[at as usize] = first);
    let distinct = keys.len() - later.iter().map(Vec::len).sum::<usize>();
    drop(later);
    let mut vertices = Vec::with_capacity(distinct);
    for at in 0..keys.len() {
        // A later key's first stands before it and has its final number already.
        ids[at] = match ids[at] {
            EMPTY => {
                vertices.push(Point3::from(keys[at].map(|b| f64::from(f32::from_bits(b)))));
                vertices.len() as u32 - 1
            }
            first => ids[first as usize],
        };
    }
    (ids, vertices)
}

/// Names the first triangle with a coordinate that is not finite.
fn not_finite(block: usize, count: usize, read: &impl Fn(usize, &mut [[[f32; 3]; 3]]) -> Result<(), Fault>) -> Fault {
    let start = block * BLOCK;
    let mut soup = vec![[[0f32; 3]; 3]; BLOCK.min(count - start)];
    if let Err(fault) = read(start, &mut soup) {
        return fault;
    }
    let at = soup.iter().position(|t| t.iter().flatten().any(|x| !x.is_finite())).unwrap_or(0);
    Fault::Corner { triangle: start + at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welded(soup: &[[[f32; 3]; 3]]) -> Mesh {
        weld(soup.len(), |start, out| {
            out.copy_from_slice(&soup[start..start + out.len()]);
            Ok(())
        })
        .unwrap()
    }

    /// The obvious way: a map from coordinates to numbers, filled in order.
    fn reference(soup: &[[[f32; 3]; 3]]) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
        let (mut numbers, mut vertices) = (std::collections::BTreeMap::new(), vec![]);
        let triangles = soup
            .iter()
            .map(|t| {
                t.map(|c| {
                    *numbers.entry(c.map(|x| (x + 0.0).to_bits())).or_insert_with(|| {
                        vertices.push(c);
                        vertices.len() as u32 - 1
                    })
                })
            })
            .collect();
        (vertices, triangles)
    }

    #[test]
    fn vertices_are_numbered_by_first_appearance_whatever_the_threads() {
        // Three blocks; coordinates from a small set, so that equal corners lie in different blocks.
        let mut state = 7u64;
        let mut coordinate = |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) % n) as f32 * 0.1 - 2.0
        };
        for n in [3, 40, 1 << 20] {
            let soup: Vec<[[f32; 3]; 3]> = (0..2 * BLOCK + 77).map(|_| [(); 3].map(|()| [(); 3].map(|()| coordinate(n)))).collect();
            let (vertices, triangles) = reference(&soup);
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mesh = pool.install(|| welded(&soup));
                assert_eq!(mesh.triangles(), triangles);
                let wanted: Vec<Point3<f64>> = vertices.iter().map(|v| Point3::from(v.map(f64::from))).collect();
                assert_eq!(mesh.vertices(), wanted);
            }
        }
    }

    #[test]
    fn minus_zero_is_zero_and_nothing_else_is_close_enough() {
        let tiny = f32::MIN_POSITIVE;
        let mesh =
            welded(&[[[0.0, 0.0, 0.0], [-0.0, 1.0, 0.0], [tiny, 0.0, 0.0]], [[-0.0, -0.0, -0.0], [0.0, 1.0, -0.0], [1.0, 0.0, 0.0]]]);
        assert_eq!(mesh.triangles(), [[0, 1, 2], [0, 1, 3]]);
    }

    #[test]
    fn a_coordinate_that_is_not_a_number_is_named_by_its_triangle() {
        let mut soup = vec![[[0.0f32, 1.0, 2.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]; BLOCK + 9];
        soup[BLOCK + 5][1][2] = f32::NAN;
        let fault = weld(soup.len(), |start, out| {
            out.copy_from_slice(&soup[start..start + out.len()]);
            Ok(())
        })
        .unwrap_err();
        assert_eq!(fault, Fault::Corner { triangle: BLOCK + 5 });
    }
}
