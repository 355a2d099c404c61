autocmd BufRead,BufNewFile *.d365map setfiletype d365map
