"""The solved exercises of earlier labs and cells, made by `llmlabs build` from source/."""
