-- Neovim 0.11 and later: `vim.lsp.enable("d365map")` starts the server for mapping files.
return {
  cmd = { "d365map", "lsp" },
  filetypes = { "d365map" },
  root_markers = { "d365map.yaml", ".git" },
}
