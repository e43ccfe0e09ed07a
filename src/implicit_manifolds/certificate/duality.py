"""What must hold between the Betti numbers, the sides and the boundaries of a connected manifold."""


def consistent(
    dimension: int,
    boundaries: int,
    orientable: bool,
    betti: tuple[int, ...],
    betti_mod_3: tuple[int, ...],
) -> bool:
    """Whether a connected m-manifold can have these Betti numbers up to β₂ over Z/2 and Z/3, so far as known here.

    Closed ones obey Poincaré duality, over Z/2 always and over Z/3 where they can be oriented; then β_m = 1, else
    β_m = 0 over Z/3. Euler characteristics are the same over both fields (Hatcher 2002, ch. 3.3). Surfaces are
    classified; those with b boundaries have 2 · genus + b - 1 loops, or crosscaps + b - 1. Up to dimension 4.
    """
    if betti[0] != 1 or betti_mod_3[0] != 1:
        return False
    if dimension == 2:
        return _surface(boundaries, orientable, betti, betti_mod_3)
    if dimension == 3:
        same = betti[1] - betti[2] == betti_mod_3[1] - betti_mod_3[2]
        if boundaries:
            return same and betti[2] >= boundaries - 1
        return betti[1] == betti[2] and betti_mod_3[1] - betti_mod_3[2] == (not orientable)
    if dimension == 4 and not boundaries and orientable:
        return betti[2] - 2 * betti[1] == betti_mod_3[2] - 2 * betti_mod_3[1]
    return True


def _surface(boundaries: int, orientable: bool, betti, betti_mod_3) -> bool:
    loops = betti[1] - max(boundaries - 1, 0)
    if not (loops >= 0 and loops % 2 == 0 if orientable else loops >= 1):
        return False
    if boundaries:
        return betti[2] == 0 and betti_mod_3 == betti
    return betti[2] == 1 and betti_mod_3 == (betti if orientable else (1, betti[1] - 1, 0))
