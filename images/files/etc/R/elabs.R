# Packages that a person installs go to the home. R uses that folder only where it exists, and asks before it makes it; kernels cannot ask.
local({
  own <- path.expand(Sys.getenv("R_LIBS_USER"))
  if (nzchar(own) && !dir.exists(own)) dir.create(own, recursive = TRUE, showWarnings = FALSE)
  if (dir.exists(own)) .libPaths(c(own, .libPaths()))
})
