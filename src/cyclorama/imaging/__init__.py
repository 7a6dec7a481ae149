"""Images in and out: loading, masks, cut-out, matting, compositing, geometry."""
