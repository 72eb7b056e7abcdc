"""Writes the source points and the true poses of job c: python prepare_c.py PEERS_FOLDER DATA SHAPE SIZE MODE POSES

PEERS_FOLDER is the one with workloads.py; the points are those that its job_c_global.py makes."""
import sys
from pathlib import Path

import numpy as np

peers, data, shape, size, mode, poses = sys.argv[1:7]
sys.path.insert(0, peers)
import workloads as W  # noqa: E402

v, f = (np.load(Path(data) / f"{shape}_{size}_{k}.npy") for k in "vf")
sources, truths = [], []
for i in range(int(poses)):
    rs = np.random.default_rng([52, i])
    p, n = W.sample_surface(v, f, 20_000 if mode == "full" else 40_000, rs)
    p = p + n * (0.05 * rs.standard_normal(len(p)))[:, None]
    if mode == "partial":
        h = p @ rs.standard_normal(3)
        p = p[h > np.median(h)]
    M = W.random_pose(1000 + i)
    truth = np.linalg.inv(M)
    sources.append(p @ M[:3, :3].T + M[:3, 3])
    truths.append(np.vstack([truth[:3, :3].T, truth[:3, 3]]))
assert len({len(s) for s in sources}) == 1
np.save(Path(data) / f"c_source_{shape}_{size}_{mode}.npy", np.ascontiguousarray(np.concatenate(sources)))
np.save(Path(data) / f"c_truth_{shape}_{size}_{mode}.npy", np.ascontiguousarray(np.concatenate(truths)))
