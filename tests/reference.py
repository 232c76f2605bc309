"""The published formulas in float64 numpy, written for plainness."""

import numpy as np


def local_pool(stage):
    """3x3 mean with zero padding counted; (h, w, c)."""
    h, w, _ = stage.shape
    padded = np.pad(stage.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    return np.stack([[padded[i : i + 3, j : j + 3].mean((0, 1)) for j in range(w)] for i in range(h)])


def greedy_k_center(pool, m):
    """Indices of the coreset, the first row first."""
    pool = pool.astype(np.float64)
    chosen = [0]
    nearest = np.linalg.norm(pool - pool[0], axis=1)
    while len(chosen) < m:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(pool - pool[chosen[-1]], axis=1))
    return np.array(chosen)


def reconstruct(Q, S, mu, lam):
    """Qhat = W S with the published inverse; Q and mu (n, c), S (m, c) of full row rank."""
    Q, S, mu = (x.astype(np.float64) for x in (Q, S, mu))
    W = (Q @ S.T + lam * mu @ S.T) @ np.linalg.inv((1 + lam) * S @ S.T)
    return W @ S


def residual(Q, S, mu, lam):
    """||Q - Qhat|| of each row, by least squares on the stacked system: any S, also deficient."""
    Q, S, mu = (x.astype(np.float64) for x in (Q, S, mu))
    stacked = np.vstack([S.T, np.sqrt(lam) * S.T])
    target = np.vstack([Q.T, np.sqrt(lam) * mu.T])
    W = np.linalg.lstsq(stacked, target, rcond=1e-6)[0].T
    return np.linalg.norm(Q - W @ S, axis=1)
